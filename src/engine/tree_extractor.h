// SPDX-License-Identifier: Apache-2.0
// Unpacks a tar into a directory of a container that may be at work in it. Both are hostile: every
// path is walked within the container's root, what was made is changed by its descriptor and never
// by its name again.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/tar.h"
#include "kernel/owner_map.h"

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <sys/types.h>

namespace berth::engine {

struct TreeExtractionOptions {
    // A directory does not take the place of something else, nor something else that of a
    // directory.
    bool keep_kinds = false;
    // Everything is theirs, whatever the archive says.
    std::optional<std::pair<uid_t, gid_t>> owner;
    // Owners are those that a container in a user namespace knows; who has no place there becomes
    // its root.
    const kernel::OwnerMap* owners = nullptr;
    std::uint64_t entries = 10'000'000;
    std::size_t directory_names = 256U << 20; // bytes, of those whose times are set at the end
};

// One extraction by one thread.
class TreeExtractor {
  public:
    // `directory` is a path of the root.
    TreeExtractor(FdRef root, std::string directory, TreeExtractionOptions options);

    // Up to the end of the archive.
    Result<void> extract(std::stop_token stop, ByteSource& archive);

  private:
    struct Place {
        FdRef parent; // good until the next entry
        std::string name;
    };

    Result<void> extract_entry(tar::Reader& reader, const tar::Header& header);
    Result<void> make(tar::Reader& reader, const tar::Header& header, const Place& place);
    Result<void> write_file(tar::Reader& reader, const tar::Header& header, const Place& place);
    Result<void> make_directory(const tar::Header& header, const Place& place);
    Result<void> make_hard_link(const tar::Header& header, const Place& place);
    Result<void> make_special(const tar::Header& header, const Place& place);
    Result<void> clear_way(const tar::Header& header, const Place& place) const;
    Result<void> set_metadata(const tar::Header& header, FdRef made) const;
    Result<FdRef> parent_of(const std::string& path);
    Result<void> set_directory_times();

    std::string full_path(const std::string& path) const;

    FdRef root_;
    std::string directory_;
    TreeExtractionOptions options_;
    std::string parent_path_;
    UniqueFd parent_;
    std::vector<std::pair<std::string, std::int64_t>> directory_times_;
    std::size_t directory_names_ = 0;
    std::uint64_t entries_ = 0;
    std::string buffer_;
};

} // namespace berth::engine
