// SPDX-License-Identifier: Apache-2.0
// From directories to differences and from differences to tar streams. The same tree gives the same
// bytes: entries sorted, no user names, no access times, whiteouts in tar form.
#pragma once

#include "base/result.h"
#include "codec/stream.h"
#include "store/overlay_form.h"
#include "store/snapshotter.h"

#include <string>
#include <vector>

namespace berth::store {

// What an upper directory (or a layer directory: the form is one) changes in the layers below it,
// topmost first.
Result<Difference>
overlay_difference(const std::string& upper, const std::vector<std::string>& layers);

// What a complete tree changes in the layers that it was copied from.
Result<Difference> tree_difference(const std::string& tree, const std::vector<std::string>& layers);

// Zeros: as many bytes as the files have, without reading them, for measuring.
enum class FileData : std::uint8_t { Content, Zeros };

Result<void> write_difference_tar(
    const Difference& difference, ByteSink& sink, FileData data = FileData::Content);

// Docker's list of changes: a directory is in it when it changed itself, or when something directly
// in it was added or deleted.
std::vector<Change> changes_of(const Difference& difference);

// Bytes of the files below a directory, each inode once.
Result<std::uint64_t> directory_usage(FdRef directory);

} // namespace berth::store
