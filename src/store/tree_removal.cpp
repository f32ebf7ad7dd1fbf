// SPDX-License-Identifier: Apache-2.0
// Deleting deep trees. A container can nest directories without end (mkdir, chdir, repeat), so the
// recursion is bounded: what lies deeper is moved up to the top and deleted from there.
#include "store/tree_removal.h"

#include "store/overlay_form.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr int depth_limit = 32;

UniqueFd open_directory(FdRef parent, const std::string& name) {
    return UniqueFd(
        openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

class Removal {
  public:
    explicit Removal(FdRef top)
        : top_(top) {}

    // Everything in the directory, whose depth below the top is given.
    Result<void> empty(FdRef directory, int depth) {
        for (const std::string& name : TRY(directory_names(directory))) {
            TRY(remove(directory, name, depth));
        }
        return ok();
    }

  private:
    Result<void> remove(FdRef directory, const std::string& name, int depth) {
        if (unlinkat(directory.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
            return ok();
        }
        if (errno != EISDIR) {
            return errno_error("remove " + name);
        }
        if (unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) == 0) {
            return ok();
        }
        if (errno != ENOTEMPTY && errno != EEXIST) {
            return errno_error("remove directory " + name);
        }
        if (depth == depth_limit) {
            return move_up(directory, name);
        }
        {
            UniqueFd child = open_directory(directory, name);
            if (!child) {
                return errno_error("open " + name);
            }
            TRY(empty(child, depth + 1));
        }
        if (unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) != 0) {
            return errno_error("remove directory " + name);
        }
        return ok();
    }

    Result<void> move_up(FdRef directory, const std::string& name) {
        for (;;) {
            std::string free = ".berth-moved-" + std::to_string(moved_++);
            if (renameat2(
                    directory.get(), name.c_str(), top_.get(), free.c_str(), RENAME_NOREPLACE) ==
                0) {
                return ok();
            }
            if (errno != EEXIST) {
                return errno_error("move " + name);
            }
        }
    }

    FdRef top_;
    std::uint64_t moved_ = 0;
};

} // namespace

Result<void> remove_tree_at(FdRef directory, const std::string& name) {
    if (unlinkat(directory.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
        return ok();
    }
    if (errno != EISDIR) {
        return errno_error("remove " + name);
    }
    // Each round deletes at least depth_limit levels of every branch.
    while (unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) != 0) {
        if (errno == ENOENT) {
            return ok();
        }
        if (errno != ENOTEMPTY && errno != EEXIST) {
            return errno_error("remove directory " + name);
        }
        UniqueFd top = open_directory(directory, name);
        if (!top) {
            return errno_error("open " + name);
        }
        TRY_CONTEXT(Removal(top).empty(top, 0), name);
    }
    return ok();
}

Result<void> remove_tree_of(const std::string& path) {
    return remove_tree_at(FdRef::unowned(AT_FDCWD), path);
}

} // namespace berth::store
