// SPDX-License-Identifier: Apache-2.0
// Walks through the same directory of several trees at once, as deep as anybody nests them: many
// layers times many levels are more descriptors than a process may have. Only the deepest levels of
// a walk are open; those above open again by their path when the walk comes back.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace berth::store {

// One directory in each tree that has it. REQUIRES: nobody renames directories in the trees, unless
// one that cannot be found again may end the walk with an error.
class DirectorySet {
  public:
    DirectorySet() = default;

    // The root of one more tree.
    Result<void> add_root(UniqueFd root);
    // The directory `name` below this one, in no tree yet.
    DirectorySet below(const std::string& name) const;
    // In the tree of parent[position].
    void add(const DirectorySet& parent, std::size_t position, UniqueFd directory);

    bool empty() const { return members_.empty(); }

    std::size_t size() const { return members_.size(); }

    // REQUIRES, for these: it is open.
    const UniqueFd& operator[](std::size_t position) const { return open_[position]; }

    auto begin() const { return open_.begin(); }

    auto end() const { return open_.end(); }

    // The roots stay open.
    void close();
    // Nothing where it is open. Links are never followed.
    Result<void> reopen();

  private:
    std::shared_ptr<std::vector<UniqueFd>> roots_;
    std::vector<std::size_t> members_; // positions among the roots
    std::vector<UniqueFd> open_;       // as many, or none
    std::string path_;
};

// A container can nest directories deeper than any path is long. Walks keep their frames on the
// heap (threads have small stacks) and give up here.
inline constexpr std::size_t tree_depth_limit = 1000;
// How many levels of a walk are open.
inline constexpr std::size_t open_levels = 4;

// After a frame was pushed: closes the one that is too far up now. A frame has close().
template <typename Frame>
void close_far(std::vector<Frame>& frames) {
    if (frames.size() > open_levels) {
        frames[frames.size() - open_levels - 1].close();
    }
}

} // namespace berth::store
