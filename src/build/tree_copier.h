// SPDX-License-Identifier: Apache-2.0
// Copies files into a root file system: COPY and ADD. The destination is an image's tree, so every
// path in it is walked by descriptor within its root; what stands in the way is replaced, except
// that directories are merged.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "build/source_tree.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/stat.h>
#include <sys/types.h>

namespace berth::build {

struct Owner {
    uid_t uid = 0;
    gid_t gid = 0;
};

struct CopyOptions {
    std::optional<Owner> owner = Owner{}; // nullopt: as at the source
    std::optional<mode_t> mode;           // --chmod, of files and directories
};

class TreeCopier {
  public:
    // root: the destination's root file system; outlives this object.
    TreeCopier(FdRef root, CopyOptions options)
        : root_(root)
        , options_(options) {}

    // The content of a directory into `destination` (made when absent), or a file as `destination`,
    // or into it where it ends with '/' or is a directory.
    Result<void>
    copy(const SourceTree& tree, const SourcePath& source, const std::string& destination);

    // A regular file made of bytes, as copy() of a file named `name`.
    Result<void>
    write(const std::string& name, std::string_view content, const std::string& destination);

    // Makes missing directories with the owner of the options, and opens the last one.
    Result<UniqueFd> ensure_directory(const std::string& path);

  private:
    struct Target {
        UniqueFd parent;
        std::string name;
    };

    Result<Target> file_target(const std::string& source_name, const std::string& destination);
    Result<void> copy_children(FdRef from, FdRef to, int depth);
    Result<void> copy_entry(FdRef from, FdRef to, const std::string& name, int depth);
    Result<void> copy_directory(FdRef from, FdRef to, const std::string& name, int depth);
    Result<void>
    copy_file(FdRef from, const struct stat& status, FdRef to, const std::string& name);
    Result<void>
    copy_special(FdRef from, const struct stat& status, FdRef to, const std::string& name);
    Result<void> clear_way(FdRef parent, const std::string& name) const;
    Result<void> set_metadata(FdRef source, const struct stat& status, FdRef file) const;
    Owner owner_of(const struct stat& status) const;

    FdRef root_;
    CopyOptions options_;
};

} // namespace berth::build
