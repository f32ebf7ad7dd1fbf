// SPDX-License-Identifier: Apache-2.0
// Copying what a chain of layers shows, or one of them onto what is below it, into one directory.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/erofs_tree.h"
#include "store/overlay_form.h"

#include <string>

#include <sys/stat.h>

namespace berth::store {

// Everything with owners, modes, times, extended attributes and hard links. `target` exists.
Result<void> copy_merged_tree(MergedDirectory source, const std::string& target);

// A layer onto `target`, which shows what the layers below it do: afterwards it shows what they and
// this one do.
Result<void> apply_layer(const std::string& layer, const std::string& target);

// Owner, mode, extended attributes (not overlayfs's) and times of a directory.
Result<void> copy_directory_metadata(FdRef from, FdRef to);
Result<erofs::Metadata> directory_metadata(FdRef directory);

} // namespace berth::store
