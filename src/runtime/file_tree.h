// SPDX-License-Identifier: Apache-2.0
// A container's files as a tree of our own: its root with its mounts, in a mount namespace that
// nobody is in. The container sees the same files but cannot change the mounts on the way to them,
// whether it runs or not; devices in the tree cannot be opened and programs cannot be run.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/file_maker.h"
#include "runtime/late_mount.h"

#include <string>
#include <vector>

namespace berth::runtime {

struct TreeMount {
    LateMount mount;
    std::string destination;
};

// The mounts are there as long as the namespace is.
struct FileTree {
    UniqueFd mount_namespace;
    UniqueFd root; // O_PATH; paths are walked from here, within it
};

enum class ReadOnlyRoot : bool { No, Yes };

struct FileTreeOptions {
    ReadOnlyRoot read_only = ReadOnlyRoot::No;
    kernel::FileMaker maker{}; // of missing places
};

// `root` is a path of the host's. Missing places of mounts are made in it. Mounts are made in this
// order.
Result<FileTree> make_file_tree(
    const std::string& root,
    const std::vector<TreeMount>& mounts,
    const FileTreeOptions& options = {});

} // namespace berth::runtime
