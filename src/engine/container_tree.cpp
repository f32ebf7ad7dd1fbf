// SPDX-License-Identifier: Apache-2.0
// As moby's daemon/containerfs_linux.go a view of its own, made from what the engine knows: nothing
// that a process in the container does leads the engine to a mount of the host's, or keeps it from
// reading.
#include "engine/container_tree.h"

#include "base/file.h"
#include "base/log.h"
#include "engine/container_files.h"
#include "engine/container_mounts.h"
#include "engine/core.h"
#include "engine/runtime_spec_parts.h"
#include "engine/user_namespace.h"

#include <algorithm>

#include <fcntl.h>

namespace berth::engine {
namespace {

using Mounts = std::vector<runtime::TreeMount>;

Result<void> add(Mounts& mounts, const oci::Mount& mount) {
    mounts.push_back({TRY(runtime::make_late_mount(mount)), mount.destination});
    return ok();
}

// They are there from the first start on.
Result<void> add_files(
    Mounts& mounts,
    const ContainerDefinition& definition,
    const Core& core,
    const kernel::OwnerMap* owners) {
    for (const std::string name : {"resolv.conf", "hostname", "hosts"}) {
        const std::string destination = "/etc/" + name;
        const std::string source = core.directory(definition.id) + "/" + name;
        const bool is_taken =
            std::ranges::any_of(definition.mounts, [&destination](const PlannedMount& mount) {
                return mount.point.destination == destination;
            });
        if (is_taken || !exists(source)) {
            continue;
        }
        oci::Mount mount{.destination = destination, .type = "bind", .source = source};
        mount.options = {"rbind", "rprivate"};
        if (definition.host_config.readonly_rootfs) {
            mount.options.emplace_back("ro");
        }
        if (owners != nullptr) {
            show_as(mount, owners->exchange());
        }
        TRY(add(mounts, mount));
    }
    return ok();
}

// What is in memory is in the container alone.
Result<void> add_tmpfs(Mounts& mounts, const PlannedMount& mount, const UniqueFd& inside) {
    if (!inside) {
        return ok();
    }
    auto found = runtime::clone_container_tmpfs(inside, mount.point.destination);
    if (!found.ok() && found.error().kind() == ErrorKind::NotFound) {
        return ok();
    }
    mounts.push_back({TRY(std::move(found)), mount.point.destination});
    return ok();
}

// Owners and labels were set when it started.
PlannedMount as_it_is(PlannedMount mount) {
    if (mount.owner == MountOwner::Change) {
        mount.owner = MountOwner::AsIs;
    }
    mount.selinux_label.clear();
    return mount;
}

} // namespace

kernel::FileMaker root_of(const kernel::OwnerMap* owners) {
    return owners == nullptr ? kernel::FileMaker()
                             : kernel::FileMaker(std::pair(owners->root_uid(), owners->root_gid()));
}

Result<UniqueFd> mount_namespace_of(LiveContainer& container) {
    std::shared_ptr<monitor::MonitorClient> client;
    std::int64_t pid = 0;
    {
        auto state = container.state.lock();
        client = state->monitor;
        pid = state->life.state.pid;
    }
    const auto not_running = [&container] {
        return conflict("container " + container.id + " is not running");
    };
    if (client == nullptr || pid == 0) {
        return not_running();
    }
    UniqueFd opened = TRY(open_file("/proc/" + std::to_string(pid) + "/ns/mnt", O_RDONLY));
    // The monitor is the parent of init: as long as it says that init runs, the number is init's.
    const monitor::StatusReply status = TRY(client->status());
    if (status.phase == monitor::ContainerPhase::Exited || status.pid != pid) {
        return not_running();
    }
    return opened;
}

Result<ContainerTree> ContainerTree::open(Core& core, LiveContainer& container) {
    const std::lock_guard operation(container.operation);
    if (container.state.lock()->removed) {
        return not_found("No such container: " + container.id);
    }
    const ContainerView view = view_of(container);
    const ContainerDefinition& definition = *view.definition;
    TRY(make_bind_sources(definition));
    ContainerTree opened;
    opened.definition_ = view.definition;
    opened.give_back_ = std::make_unique<Rollback>();
    const MountedRoot root = TRY(mount_root(core, view));
    opened.owners_ = root.owners;
    opened.give_back_->push([&core, id = container.id] {
        if (core.store->layers().has_writable(id) && !core.store->layers().unmount(id).ok()) {
            log::debug("root of a container was not mounted any more", {{"id", id}});
        }
    });
    UniqueFd inside;
    if (view.life.state.is_running()) {
        if (auto there = mount_namespace_of(container); there.ok()) {
            inside = std::move(*there);
        }
    }
    Mounts mounts;
    TRY(add_files(mounts, definition, core, root.owners.get()));
    auto taken = std::make_shared<ContainerDefinition>(definition);
    taken->mounts.clear();
    opened.give_back_->push([&core, taken] {
        ContainerMounts(core).give_back(*taken);
        ContainerMounts(core).tell_of_return(*taken);
    });
    for (const PlannedMount& planned : definition.mounts) {
        if (planned.point.type == "tmpfs") {
            TRY(add_tmpfs(mounts, planned, inside));
            continue;
        }
        PlannedMount mount = as_it_is(planned);
        MountSource source = TRY(ContainerMounts(core).take_one(definition, mount, root));
        taken->mounts.push_back(mount);
        if (source.place) {
            source.path = "/proc/self/fd/" + std::to_string(source.place.get());
        }
        TRY(add(mounts, runtime_mount(mount, source)));
    }
    opened.tree_ = TRY(runtime::make_file_tree(
        root.path,
        mounts,
        {.read_only = definition.host_config.readonly_rootfs ? runtime::ReadOnlyRoot::Yes
                                                             : runtime::ReadOnlyRoot::No,
         .maker = root_of(root.owners.get())}));
    return opened;
}

} // namespace berth::engine
