// SPDX-License-Identifier: Apache-2.0
// How layers lie on disk: overlayfs's form. A whiteout (a name that hides what is below) is a
// character device 0/0; an opaque directory (it hides all that is below) has
// trusted.overlay.opaque = "y". And the tar form of both: .wh.<name> and .wh..wh..opq.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "store/directory_walk.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>

namespace berth::store {

inline constexpr std::string_view whiteout_prefix = ".wh.";
inline constexpr std::string_view whiteout_meta_prefix = ".wh..wh.";
inline constexpr const char* opaque_attribute = "trusted.overlay.opaque";
inline constexpr std::string_view opaque_marker = ".wh..wh..opq";

bool is_whiteout(const struct stat& status);
Result<bool> is_opaque(FdRef directory);
Result<void> set_opaque(FdRef directory);

// Overlayfs's attributes say where a file's data lies, among other things; they come from the
// kernel and never from an archive.
bool is_overlay_attribute(std::string_view name);

// "/proc/self/fd/<n>/<name>": for system calls that take no descriptor. The last component is not
// followed by the l* calls.
std::string descriptor_path(FdRef directory, std::string_view name);

// All entries, sorted, without . and ..
Result<std::vector<std::string>> directory_names(FdRef directory);

// A directory as the union of several layers shows it. Children are reached one name at a time, by
// descriptor, links never followed.
class MergedDirectory {
  public:
    MergedDirectory() = default;

    // The roots of layers, topmost first.
    static Result<MergedDirectory> open(const std::vector<std::string>& layers);

    bool empty() const { return directories_.empty(); }

    // The directory whose owner and mode show; nullptr when empty.
    const UniqueFd* top() const { return directories_.empty() ? nullptr : &directories_[0]; }

    // Between the two nothing else may be called.
    void close() { directories_.close(); }

    Result<void> reopen() { return directories_.reopen(); }

    struct Entry {
        struct stat status;
        const UniqueFd* directory; // the one that holds the entry that shows
    };

    // nullopt where nothing shows. The pointer is good as long as this object.
    Result<std::optional<Entry>> find(const std::string& name) const;
    // The subdirectory; empty when the name is none.
    Result<MergedDirectory> child(const std::string& name) const;
    // Every name that shows, sorted.
    Result<std::vector<std::string>> names() const;

  private:
    DirectorySet directories_;
};

} // namespace berth::store
