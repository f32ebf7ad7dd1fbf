// SPDX-License-Identifier: Apache-2.0
// Opening again goes by openat2, in pieces: a path here may be longer than the kernel takes.
#include "store/directory_walk.h"

#include "base/strings.h"

#include <linux/openat2.h>

#include <climits>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr std::size_t piece_limit = PATH_MAX / 2;

Result<UniqueFd> open_piece(FdRef from, const std::string& path) {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, from.get(), path.c_str(), &how, sizeof how)));
    return fd ? Result(std::move(fd)) : errno_error("open " + path.substr(0, 200) + " again");
}

Result<UniqueFd> open_below(FdRef root, std::string_view path) {
    UniqueFd current;
    while (path.size() > piece_limit) {
        const std::size_t end = path.rfind('/', piece_limit);
        const std::string piece(path.substr(0, end));
        current = TRY(open_piece(current ? FdRef(current) : root, piece));
        path.remove_prefix(end + 1);
    }
    return open_piece(current ? FdRef(current) : root, std::string(path));
}

} // namespace

Result<void> DirectorySet::add_root(UniqueFd root) {
    VERIFY(path_.empty());
    if (!roots_) {
        roots_ = std::make_shared<std::vector<UniqueFd>>();
    }
    open_.push_back(TRY(root.duplicate()));
    members_.push_back(roots_->size());
    roots_->push_back(std::move(root));
    return ok();
}

DirectorySet DirectorySet::below(const std::string& name) const {
    DirectorySet child;
    child.roots_ = roots_;
    child.path_ = path_.empty() ? name : path_ + "/" + name;
    return child;
}

void DirectorySet::add(const DirectorySet& parent, std::size_t position, UniqueFd directory) {
    members_.push_back(parent.members_.at(position));
    open_.push_back(std::move(directory));
}

void DirectorySet::close() {
    open_.clear();
}

Result<void> DirectorySet::reopen() {
    if (open_.size() == members_.size()) {
        return ok();
    }
    for (const std::size_t member : members_) {
        const UniqueFd& root = roots_->at(member);
        open_.push_back(TRY(path_.empty() ? root.duplicate() : open_below(root, path_)));
    }
    return ok();
}

} // namespace berth::store
