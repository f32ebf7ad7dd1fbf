// SPDX-License-Identifier: Apache-2.0
// What COPY and ADD may take from: a build's context or another stage's root file system. Paths
// and patterns are looked up within the root; nothing leads out of it.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

struct SourcePath {
    std::string path; // relative to the root, "" for the root itself
    bool is_directory = false;

    std::string name() const; // its last component
};

class SourceTree {
  public:
    // root: a directory opened with O_PATH or O_RDONLY.
    explicit SourceTree(UniqueFd root)
        : root_(std::move(root)) {}

    FdRef root() const { return root_; }

    // A path, or a pattern (* ? [a-z]) with all that match it, sorted. NotFound when there is
    // nothing: "file not found in build context or excluded by .dockerignore: stat x: file does not
    // exist". InvalidArgument for a path that leaves the root by "..".
    Result<std::vector<SourcePath>> find(std::string_view pattern) const;

    // A file, links followed within the root, opened for reading.
    Result<UniqueFd> open(const SourcePath& source, int flags) const;

    enum class Owners : bool { Ignore, Count };
    // Digest of names, modes, links, extended attributes and contents; of owners where they count.
    // Never of times. "file:<hex>" or "dir:<hex>".
    Result<std::string> digest(const SourcePath& source, Owners owners) const;

  private:
    Result<void> match(
        const std::string& directory,
        std::string_view pattern,
        std::vector<SourcePath>& found) const;

    UniqueFd root_;
};

} // namespace berth::build
