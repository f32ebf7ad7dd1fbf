// SPDX-License-Identifier: Apache-2.0
// Owners and SELinux labels of what a container gets mounted. Trees belong to containers, which may
// change them meanwhile: they are walked by descriptor, without following links and without leaving
// the file system.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <string>

#include <sys/types.h>

namespace berth::engine {

// Everything in `place` (a directory or a file, O_PATH will do) and the place itself.
Result<void> change_owner(FdRef place, uid_t uid, gid_t gid);

// InvalidArgument for directories of the system, as with Docker: `path` says which place it is.
Result<void> relabel_tree(FdRef place, const std::string& path, const std::string& label);
// Of the place itself, without what else the kernel keeps there; "" for none.
std::string label_of(FdRef place);

} // namespace berth::engine
