// SPDX-License-Identifier: Apache-2.0
// The first content of a volume. The image's tree is not trusted: the destination is resolved
// within the root.
#include "base/file.h"
#include "engine/container_files.h"
#include "engine/volume_copy.h"
#include "kernel/path.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::engine {
namespace {

// Only what differs, as moby: a server may allow root nothing, not even what changes nothing.
Result<void> copy_owner(FdRef from, FdRef to, const std::string& what) {
    struct stat wanted {};

    struct stat there {};

    if (fstat(from.get(), &wanted) != 0 || fstat(to.get(), &there) != 0) {
        return errno_error(what);
    }
    const bool owner_differs = wanted.st_uid != there.st_uid || wanted.st_gid != there.st_gid;
    if (owner_differs && fchown(to.get(), wanted.st_uid, wanted.st_gid) != 0) {
        return errno_error(what);
    }
    const bool mode_differs = wanted.st_mode != there.st_mode;
    if (mode_differs && fchmod(to.get(), wanted.st_mode & 07777) != 0) {
        return errno_error(what);
    }
    return ok();
}

} // namespace

Result<void> copy_up(
    const std::string& root_path, const std::string& destination, const std::string& volume_path) {
    if (!TRY(list_directory(volume_path)).empty()) {
        return ok();
    }
    const UniqueFd root = TRY(open_file(root_path, O_PATH | O_DIRECTORY));
    auto from = kernel::open_in_root(root, destination, O_RDONLY | O_DIRECTORY);
    if (!from.ok()) {
        const int reason = from.error().error_number();
        if (reason == ENOENT || reason == ENOTDIR) {
            return ok();
        }
        return std::move(from).error();
    }
    const UniqueFd to = TRY(open_file(volume_path, O_RDONLY | O_DIRECTORY));
    TRY_CONTEXT(
        copy_tree(*from, to, OverlayAttributes::Leave), "filling volume for " + destination);

    return copy_owner(*from, to, "owner of the volume for " + destination);
}

} // namespace berth::engine
