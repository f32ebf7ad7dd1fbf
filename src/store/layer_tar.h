// SPDX-License-Identifier: Apache-2.0
// From directories to differences and from differences to tar streams. The same tree gives the same
// bytes: entries sorted, no user names, no access times, whiteouts in tar form.
#pragma once

#include "base/result.h"
#include "codec/stream.h"
#include "codec/tar.h"
#include "store/overlay_form.h"
#include "store/snapshotter.h"

#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::store {

// What an upper directory (or a layer directory: the form is one) changes in the layers below it,
// topmost first.
Result<Difference>
overlay_difference(const std::string& upper, const std::vector<std::string>& layers);

// What a complete tree changes in the layers that it was copied from.
Result<Difference> tree_difference(const std::string& tree, const std::vector<std::string>& layers);

// Takes away what is there for something to be mounted on: of `paths` (relative) the empty files
// and directories that were added, and the directories that changed for no other reason.
void leave_out_mount_points(Difference& difference, std::span<const std::string_view> paths);

// Whether a layer of it would change anything.
bool is_empty(const Difference& difference);

using ChangeHeader = std::function<void(tar::Header&)>;

struct TreeTarOptions {
    // The tree itself comes first, under that name, and all in it below it.
    std::optional<std::string> name{};
    ChangeHeader change_header{}; // before it is written
};

// The whole tree, without keeping a list of it.
Result<void> write_tree_tar(
    std::stop_token stop, FdRef tree, ByteSink& sink, const TreeTarOptions& options = {});

// One entry of a directory, which is none itself.
Result<void> write_entry_tar(
    FdRef directory, const std::string& entry, ByteSink& sink, ChangeHeader change_header = {});

// What several layers, topmost first, change together in those below them. `root` is a mount of all
// of them: the tree of the difference.
Result<Difference> joint_difference(
    UniqueFd root, const std::vector<std::string>& uppers, const std::vector<std::string>& layers);

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
