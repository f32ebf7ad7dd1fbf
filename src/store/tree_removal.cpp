// SPDX-License-Identifier: Apache-2.0
// Deleting deep trees. A container can nest directories without end (mkdir, chdir, repeat), so the
// recursion is bounded: what lies deeper is moved up to the top and deleted from there.
//
// On btrfs a subvolume goes as a whole, unless there are others in it, which anybody in a container
// can make, and can make read-only. One with others in it is emptied entry by entry; one that is
// found on the way and has others in it as well is moved up, like what is too deep.
#include "store/tree_removal.h"

#include "kernel/btrfs.h"
#include "store/overlay_form.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr int removal_depth_limit = 32;

UniqueFd open_directory_at(FdRef parent, const std::string& name) {
    return UniqueFd(
        openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

class Removal {
  public:
    explicit Removal(FdRef top)
        : top_(top)
        , outermost_(top)
        , btrfs_(kernel::is_on_btrfs(top)) {}

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
        UniqueFd child = open_directory_at(directory, name);
        if (!child) {
            return errno_error("open " + name);
        }
        if (btrfs_ && kernel::is_subvolume(child)) {
            return remove_subvolume(directory, name, child);
        }
        if (depth == removal_depth_limit) {
            return move_up(directory, name, top_);
        }
        TRY(empty(child, depth + 1));
        child.reset();
        if (unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) != 0) {
            return errno_error("remove directory " + name);
        }
        return ok();
    }

    Result<void> remove_subvolume(FdRef directory, const std::string& name, FdRef subvolume) {
        Result<void> destroyed = kernel::destroy_subvolume(directory, name);
        if (destroyed.ok() || destroyed.error().error_number() != ENOTEMPTY) {
            return destroyed;
        }
        if (!nested_) {
            return empty_subvolume(directory, name, subvolume);
        }
        TRY(kernel::make_subvolume_writable(subvolume)); // else it cannot get another parent
        return move_up(directory, name, outermost_);
    }

    // A subvolume with others in it.
    Result<void> empty_subvolume(FdRef directory, const std::string& name, FdRef subvolume) {
        TRY(kernel::make_subvolume_writable(subvolume));
        Result<void> destroyed = ok();
        do { // each round deletes at least removal_depth_limit levels of every branch
            Removal inner(subvolume);
            inner.outermost_ = outermost_;
            inner.nested_ = true;
            inner.moved_ = moved_;
            TRY(inner.empty(subvolume, 0));
            moved_ = inner.moved_;
            destroyed = kernel::destroy_subvolume(directory, name);
        } while (!destroyed.ok() && destroyed.error().error_number() == ENOTEMPTY);
        return destroyed;
    }

    Result<void> move_up(FdRef directory, const std::string& name, FdRef target) {
        for (;;) {
            std::string free = ".berth-moved-" + std::to_string(moved_++);
            if (renameat2(
                    directory.get(), name.c_str(), target.get(), free.c_str(), RENAME_NOREPLACE) ==
                0) {
                return ok();
            }
            if (errno != EEXIST) {
                return errno_error("move " + name);
            }
        }
    }

    FdRef top_;       // the directory, or the subvolume that is being emptied
    FdRef outermost_; // the directory
    bool btrfs_;
    bool nested_ = false;
    std::uint64_t moved_ = 0;
};

// What is in it, or it itself where it is a subvolume.
Result<void> remove_content(const std::string& name, FdRef top) {
    if (!kernel::is_subvolume(top)) {
        return Removal(top).empty(top, 0);
    }
    // The caller's descriptor may be one that takes no ioctl (O_PATH, AT_FDCWD).
    UniqueFd parent = open_directory_at(top, "..");
    if (!parent) {
        return errno_error("open the directory above");
    }
    Result<void> destroyed = kernel::destroy_subvolume(parent, name.substr(name.rfind('/') + 1));
    if (destroyed.ok() || destroyed.error().error_number() != ENOTEMPTY) {
        return destroyed;
    }
    TRY(kernel::make_subvolume_writable(top));
    return Removal(top).empty(top, 0);
}

} // namespace

Result<void> remove_tree_at(FdRef directory, const std::string& name) {
    if (unlinkat(directory.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
        return ok();
    }
    if (errno != EISDIR) {
        return errno_error("remove " + name);
    }
    // Each round deletes at least removal_depth_limit levels of every branch.
    while (unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) != 0) {
        if (errno == ENOENT) {
            return ok();
        }
        if (errno != ENOTEMPTY && errno != EEXIST) {
            return errno_error("remove directory " + name);
        }
        UniqueFd top = open_directory_at(directory, name);
        if (!top) {
            return errno_error("open " + name);
        }
        TRY_CONTEXT(remove_content(name, top), name);
    }
    return ok();
}

Result<void> remove_tree_of(const std::string& path) {
    return remove_tree_at(FdRef::unowned(AT_FDCWD), path);
}

} // namespace berth::store
