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

    struct stat status {};

    if (fstat(from->get(), &status) != 0 || fchown(to.get(), status.st_uid, status.st_gid) != 0 ||
        fchmod(to.get(), status.st_mode & 07777) != 0) {
        return errno_error("owner of the volume for " + destination);
    }
    return ok();
}

} // namespace berth::engine
