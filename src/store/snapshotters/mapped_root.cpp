// SPDX-License-Identifier: Apache-2.0
// A mapped mount beside the directory that it shows: <layer>/mapped.
#include "store/snapshotters/mapped_root.h"

#include "base/file.h"
#include "kernel/mount.h"
#include "store/disk_error.h"

#include <sys/stat.h>

namespace berth::store {

namespace {

std::string place_of(const WritableLayer& layer) {
    return layer.directory + "/mapped";
}

} // namespace

Result<UniqueFd> clone_mapped(const std::string& path, const kernel::OwnerMap& owners) {
    UniqueFd mount = TRY(kernel::clone_mount(path, kernel::Recursive::No));
    TRY_CONTEXT(owners.apply_to(mount), "show " + path + " as a user namespace's");
    return mount;
}

Result<void>
check_owners(const std::string& root, const std::string& on_disk, const kernel::OwnerMap* owners) {
    struct stat shown {};

    struct stat real {};

    if (stat(root.c_str(), &shown) != 0 || stat(on_disk.c_str(), &real) != 0) {
        return errno_error("stat " + root);
    }
    if (owners != nullptr) {
        real.st_uid = kernel::seen_id(owners->exchange().uids, real.st_uid);
        real.st_gid = kernel::seen_id(owners->exchange().gids, real.st_gid);
    }
    return shown.st_uid == real.st_uid && shown.st_gid == real.st_gid
               ? ok()
               : Result<void>(conflict(root + " is mounted for another user namespace"));
}

Result<std::string> mount_mapped(const WritableLayer& layer, const std::string& root) {
    if (layer.owners == nullptr) {
        return root;
    }
    std::string place = place_of(layer);
    TRY(disk_result(make_directories(place, 0700)));
    if (TRY(kernel::is_mount_point(place))) {
        TRY(check_owners(place, root, layer.owners.get()));
        return place;
    }
    const UniqueFd mount = TRY(clone_mapped(root, *layer.owners));
    TRY(kernel::attach_mount(mount, place));
    return place;
}

bool is_mapped(const WritableLayer& layer) {
    const Result<bool> answer = kernel::is_mount_point(place_of(layer));
    return answer.ok() && *answer;
}

Result<void> unmount_mapped(const WritableLayer& layer) {
    return kernel::unmount_lazily(place_of(layer));
}

} // namespace berth::store
