// SPDX-License-Identifier: Apache-2.0
// Directories by descriptor: entries in order, and extended attributes.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <map>
#include <string>
#include <vector>

namespace berth::build {

// How deep a tree may be nested: each level holds descriptors open.
inline constexpr int tree_depth_limit = 256;

Error tree_too_deep();

// Names without . and .., sorted by bytes. directory may be opened with O_PATH.
Result<std::vector<std::string>> entry_names(FdRef directory);

using Xattrs = std::map<std::string, std::string>;

// Without overlayfs's own attributes. Of an open file (O_PATH will do), and of an entry of a
// directory, links not followed.
Result<Xattrs> read_xattrs(FdRef file);
Result<Xattrs> read_xattrs_at(FdRef directory, const std::string& name);

} // namespace berth::build
