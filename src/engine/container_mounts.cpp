// SPDX-License-Identifier: Apache-2.0
// A volume is held by the containers that name it and used by those that run. What lies in a volume
// or an image is not trusted: a subpath is walked by descriptor, and the descriptor is what gets
// mounted.
#include "engine/container_mounts.h"

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "engine/container_files.h"
#include "engine/core.h"
#include "engine/mount_propagation.h"
#include "engine/volume_owner.h"
#include "kernel/path.h"
#include "runtime/user.h"
#include "store/snapshotters/mapped_root.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::engine {
namespace {

bool is_volume(const PlannedMount& mount) {
    return mount.point.type == "volume";
}

bool is_image(const PlannedMount& mount) {
    return mount.point.type == "image";
}

// Clients take "not found" for the container's image and would pull that. (Docker answers so for a
// volume's driver all the same.)
Error not_for_the_container(Error error) {
    return error.kind() == ErrorKind::NotFound ? std::move(error).as(ErrorKind::InvalidArgument)
                                               : error;
}

Result<UniqueFd> open_subpath(const std::string& path, const std::string& subpath) {
    const UniqueFd top = TRY(open_file(path, O_PATH | O_DIRECTORY));
    auto place = kernel::open_in_root(top, subpath, O_PATH);
    if (!place.ok()) {
        return std::move(place)
            .error()
            .as(ErrorKind::InvalidArgument)
            .with_context("cannot access path " + path + "/" + subpath);
    }
    return place;
}

// Whether the image has anything at the destination that a volume would begin with.
bool has_content(const std::string& root_path, const std::string& destination) {
    const auto root = open_file(root_path, O_PATH | O_DIRECTORY);
    if (!root.ok()) {
        return false;
    }
    const auto place = kernel::open_in_root(*root, destination, O_RDONLY | O_DIRECTORY);
    if (!place.ok()) {
        return false;
    }
    const auto names = list_directory(kernel::fd_path(*place));
    return names.ok() && !names->empty();
}

} // namespace

Result<void> ContainerMounts::make(ContainerDefinition& definition) {
    for (PlannedMount& mount : definition.mounts) {
        TRY(make_one(mount, definition));
    }
    return ok();
}

// Its container may be on its way out, and the volume with it: never another one in its place.
Result<void>
ContainerMounts::take_inherited(const PlannedMount& mount, const std::string& container_id) {
    auto held = core_.volumes->hold_existing(mount.point.name, container_id);
    if (held.ok() || held.error().kind() != ErrorKind::NotFound) {
        return held.ok() ? ok() : Result<void>(std::move(held).error());
    }
    return conflict(
        "volume " + mount.point.name + " of " + mount.point.destination +
        " was removed meanwhile, with the container that it is taken from");
}

Result<void> ContainerMounts::make_one(PlannedMount& mount, const ContainerDefinition& definition) {
    if (is_volume(mount) && mount.inherited) {
        return take_inherited(mount, definition.id);
    }
    if (is_volume(mount)) {
        const VolumeInfo info = TRY(core_.volumes->create(
            {.name = mount.point.name,
             .driver = mount.volume_driver,
             .options = mount.volume_options,
             .labels = mount.volume_labels,
             .holder = definition.id}));
        mount.point.name = info.name;
        mount.point.driver = info.driver;
        mount.point.source = info.mountpoint;
    } else if (is_image(mount)) {
        auto found = core_.images->for_container(mount.point.name, "");
        if (!found.ok()) {
            return not_for_the_container(std::move(found).error());
        }
        const ImageForContainer image = std::move(*found);
        mount.point.source = image.id;
        std::string layer = definition.id + "-image-" + random_hex(8);
        oci::Digest chain;
        if (!image.chain_id.empty()) {
            chain = TRY(oci::Digest::parse(image.chain_id));
        }
        TRY(core_.store->layers().prepare(layer, chain, {.mount_label = definition.mount_label}));
        mount.layer = std::move(layer);
    }
    return ok();
}

Result<void> ContainerMounts::fill(
    const ContainerDefinition& definition, const OwnerMapPtr& owners, const std::stop_token& stop) {
    const auto wants = [](const PlannedMount& mount) { return is_volume(mount) && mount.copy_up; };
    if (std::ranges::none_of(definition.mounts, wants)) {
        return ok();
    }
    const std::string root = TRY(core_.store->layers().mount(definition.id, owners));
    Result<void> filled;
    for (const PlannedMount& mount : definition.mounts) {
        if (!filled.ok() || !wants(mount)) {
            continue;
        }
        const std::string& destination = mount.point.destination;
        const bool is_mapped = owners != nullptr && is_own_volume(mount);
        const Volumes::Fill copy = [&](const std::string& directory) -> Result<void> {
            if (!is_mapped) {
                return copy_up(root, destination, directory);
            }
            const UniqueFd shown = TRY(store::clone_mapped(directory, *owners));
            return copy_up(root, destination, kernel::fd_path(shown));
        };
        // Docker's volumes of plugins and of mounts are mounted for this, too.
        auto path = core_.volumes->mount(mount.point.name, definition.id, stop);
        if (!path.ok()) {
            filled = std::move(path).error();
            continue;
        }
        filled = has_content(root, destination)
                     ? core_.volumes->fill(mount.point.name, definition.id, copy)
                     : copy(*path);
        core_.volumes->unmount(mount.point.name, definition.id);
    }
    TRY(core_.store->layers().unmount(definition.id));
    return filled;
}

void ContainerMounts::settle(const ContainerDefinition& definition) {
    std::vector<std::string> names;
    for (const PlannedMount& mount : definition.mounts) {
        if (is_volume(mount)) {
            names.push_back(mount.point.name);
        }
    }
    core_.volumes->settle(names);
}

// Whose files lie in the data root: they are seen as the container's. What is the host's is not.
bool ContainerMounts::is_own_volume(const PlannedMount& mount) const {
    return core_.volumes->has_own_files(mount.point.name);
}

Result<std::vector<MountSource>> ContainerMounts::take(
    const ContainerDefinition& definition, const MountedRoot& root, const std::stop_token& stop) {
    std::vector<MountSource> sources;
    for (const PlannedMount& mount : definition.mounts) {
        sources.push_back(TRY(take_one(definition, mount, root, stop)));
    }
    return sources;
}

Result<MountSource> ContainerMounts::take_one(
    const ContainerDefinition& definition,
    const PlannedMount& mount,
    const MountedRoot& root,
    const std::stop_token& stop) {
    MountSource source{.place = {}, .path = mount.point.source, .exchange = {}};
    if (is_volume(mount)) {
        source.path = TRY(core_.volumes->mount(mount.point.name, definition.id, stop));
        publish(definition, mount, "mount");
        if (root.owners != nullptr && is_own_volume(mount)) {
            source.owners = root.owners;
        }
    } else if (is_image(mount)) {
        source.path = TRY(core_.store->layers().mount(mount.layer, root.owners));
    } else if (mount.point.type == "tmpfs") {
        return source;
    } else if (mount.point.type == "bind") {
        TRY(check_propagation(source.path, mount.point.propagation));
    }
    if (!mount.subpath.empty()) {
        auto place = open_subpath(source.path, mount.subpath);
        if (!place.ok()) {
            give_back_one(mount, definition.id);
            return std::move(place).error();
        }
        source.place = std::move(*place);
    }
    if (mount.owner != MountOwner::AsIs || core_.selinux->is_enabled()) {
        auto prepared = prepare_owner(definition, mount, source, root);
        if (!prepared.ok()) {
            give_back_one(mount, definition.id);
            return std::move(prepared).error().with_context("mount of " + mount.point.destination);
        }
    }
    return source;
}

// As Docker: volumes are labeled for every container, unless :Z asks for this one alone; what else
// is mounted if it is asked for.
Result<void> ContainerMounts::relabel(
    const ContainerDefinition& definition,
    const PlannedMount& mount,
    FdRef place,
    const std::string& path) const {
    const bool is_asked = !mount.selinux_label.empty();
    if (!core_.selinux->is_enabled() || definition.mount_label.empty() ||
        (!is_asked && !is_volume(mount))) {
        return ok();
    }
    const std::string label = mount.selinux_label == "Z"
                                  ? definition.mount_label
                                  : shared_file_label(definition.mount_label);
    return !is_asked && label_of(place) == label ? ok() : relabel_tree(place, path, label);
}

Result<void> ContainerMounts::prepare_owner(
    const ContainerDefinition& definition,
    const PlannedMount& mount,
    MountSource& source,
    const MountedRoot& mounted) {
    const UniqueFd place =
        source.place ? TRY(source.place.duplicate()) : TRY(open_file(source.path, O_PATH));
    TRY(relabel(definition, mount, place, source.path));
    if (mount.owner == MountOwner::AsIs) {
        return ok();
    }
    const UniqueFd root = TRY(open_file(mounted.path, O_PATH | O_DIRECTORY));
    runtime::ResolvedUser user = TRY(runtime::resolve_user(root, definition.config.user));
    if (mounted.owners != nullptr && source.owners == nullptr) {
        // The host's files know it by the id that the host has for it.
        user.uid = mounted.owners->outside_uid(user.uid);
        user.gid = mounted.owners->outside_gid(user.gid);
    }
    if (mount.owner == MountOwner::Change) {
        return change_owner(place, user.uid, user.gid);
    }

    struct stat status {};

    if (fstat(place.get(), &status) != 0) {
        return errno_error("stat " + source.path);
    }
    source.exchange = ExchangedOwners{
        .disk_uid = status.st_uid,
        .container_uid = user.uid,
        .disk_gid = status.st_gid,
        .container_gid = user.gid};
    return ok();
}

void ContainerMounts::give_back(const ContainerDefinition& definition) {
    for (const PlannedMount& mount : definition.mounts) {
        give_back_one(mount, definition.id);
    }
}

void ContainerMounts::tell_of_return(const ContainerDefinition& definition) const {
    for (const PlannedMount& mount : definition.mounts) {
        if (is_volume(mount)) {
            publish(definition, mount, "unmount");
        }
    }
}

void ContainerMounts::give_back_one(const PlannedMount& mount, const std::string& container_id) {
    if (is_volume(mount)) {
        core_.volumes->unmount(mount.point.name, container_id);
    } else if (is_image(mount) && core_.store->layers().has_writable(mount.layer)) {
        if (auto unmounted = core_.store->layers().unmount(mount.layer); !unmounted.ok()) {
            log::debug("layer of an image mount was not mounted", {{"layer", mount.layer}});
        }
    }
}

void ContainerMounts::adopt(const ContainerDefinition& definition) {
    for (const PlannedMount& mount : definition.mounts) {
        if (is_volume(mount)) {
            core_.volumes->adopt(mount.point.name, definition.id);
        }
    }
}

void ContainerMounts::remove(const ContainerDefinition& definition, AnonymousVolumes anonymous) {
    for (const PlannedMount& mount : definition.mounts) {
        remove_one(mount, definition.id, anonymous);
    }
}

void ContainerMounts::remove_one(
    const PlannedMount& mount, const std::string& container_id, AnonymousVolumes anonymous) {
    if (is_image(mount) && !mount.layer.empty()) {
        if (auto removed = core_.store->layers().remove_writable(mount.layer); !removed.ok()) {
            log::warn("layer of an image mount not removed, ignoring", {{"layer", mount.layer}});
        }
    }
    if (!is_volume(mount) || mount.point.name.empty()) {
        return;
    }
    core_.volumes->unmount_all(mount.point.name, container_id); // its end may not be there yet
    core_.volumes->release(mount.point.name, container_id);
    if (anonymous == AnonymousVolumes::Remove && mount.anonymous) {
        auto removed = core_.volumes->remove(mount.point.name, true);
        if (!removed.ok() && removed.error().kind() != ErrorKind::Conflict) {
            log::warn(
                "volume not removed, ignoring",
                {{"volume", mount.point.name}, {"error", removed.error().message()}});
        }
    }
}

void ContainerMounts::publish(
    const ContainerDefinition& definition,
    const PlannedMount& mount,
    const std::string& action) const {
    StringMap attributes{{"container", definition.id}, {"driver", mount.point.driver}};
    if (action == "mount") {
        attributes["destination"] = mount.point.destination;
        attributes["read/write"] = mount.point.read_write ? "true" : "false";
        attributes["propagation"] = mount.point.propagation;
    }
    core_.events->publish(Event{
        .type = "volume",
        .action = action,
        .actor_id = mount.point.name,
        .attributes = std::move(attributes),
        .time = {}});
}

} // namespace berth::engine
