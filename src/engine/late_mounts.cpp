// SPDX-License-Identifier: Apache-2.0
// The database knows of a change before the container does: a mount in transit is taken away by the
// next engine when this one is killed in between, so that there is no mount that nobody knows of.
#include "engine/late_mounts.h"

#include "base/file.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/strings.h"
#include "engine/container_files.h"
#include "engine/container_tree.h"
#include "engine/runtime_spec_parts.h"
#include "engine/user_namespace.h"
#include "runtime/late_mount.h"

#include <algorithm>

#include <fcntl.h>

namespace berth::engine {
namespace {

// The same container with a mount more, in its place in the order.
void insert_sorted(ContainerDefinition& definition, PlannedMount mount) {
    auto& mounts = definition.mounts;
    const auto place = std::ranges::upper_bound(
        mounts, mount.point.destination, {}, [](const PlannedMount& other) {
            return other.point.destination;
        });
    mounts.insert(place, std::move(mount));
}

PlannedMount* find_mount(ContainerDefinition& definition, const std::string& destination) {
    const auto found =
        std::ranges::find(definition.mounts, destination, [](const PlannedMount& mount) {
            return mount.point.destination;
        });
    return found == definition.mounts.end() ? nullptr : &*found;
}

// From all that an inspect shows.
void erase_mount(ContainerDefinition& definition, const std::string& destination) {
    const auto is_it = [&destination](std::string_view text) {
        return clean_path("/" + std::string(text)) == destination;
    };
    std::erase_if(definition.mounts, [&](const PlannedMount& mount) {
        return mount.point.destination == destination;
    });
    HostConfig& host = definition.host_config;
    std::erase_if(host.mounts, [&](const Mount& mount) { return is_it(mount.target); });
    std::erase_if(host.binds, [&](const std::string& spec) {
        const auto planned = plan_volume_flag(spec, "");
        return planned.ok() && planned->point.destination == destination;
    });
    std::erase_if(host.tmpfs, [&](const auto& entry) { return is_it(entry.first); });
    std::erase_if(definition.config.volumes, [&](const auto& entry) { return is_it(entry.first); });
}

Result<PlannedMount> plan(const MountRequest& request, const HostConfig& host) {
    if (request.bind.empty() == !request.mount) {
        return invalid_argument("one of Bind and Mount must be given");
    }
    return request.mount ? plan_mount(*request.mount)
                         : plan_volume_flag(request.bind, host.volume_driver);
}

void remember_request(ContainerDefinition& definition, const MountRequest& request) {
    if (request.mount) {
        definition.host_config.mounts.push_back(*request.mount);
    } else if (request.bind.find(':') != std::string::npos) {
        definition.host_config.binds.push_back(request.bind);
    } else {
        definition.config.volumes.emplace(request.bind, EmptyObject());
    }
}

// A definition with this mount alone, for what works on definitions.
ContainerDefinition with_only(const ContainerDefinition& definition, PlannedMount mount) {
    ContainerDefinition only = definition;
    only.mounts.clear();
    only.mounts.push_back(std::move(mount));
    return only;
}

// It may have been removed while this waited for the lock.
Result<void> check_there(LiveContainer& container) {
    return container.state.lock()->removed
               ? Result<void>(not_found("No such container: " + container.id))
               : ok();
}

// What lies below would be hidden, or go along, with nobody to know of it until the next start.
Result<void> check_nothing_below(const ContainerDefinition& definition, const std::string& place) {
    for (const PlannedMount& mount : definition.mounts) {
        if (mount.point.destination.starts_with(place + "/")) {
            return conflict(
                "container " + definition.name + " has a mount below " + place + ", at " +
                mount.point.destination + ": take that one away first");
        }
    }
    return ok();
}

struct Quiet {
    std::vector<ContainerPtr> containers;
    std::vector<std::unique_lock<std::mutex>> locks;
    std::vector<std::shared_ptr<void>> frozen; // thawed before the locks go
};

} // namespace

Result<void> LateMounts::add(const ContainerPtr& container, const MountRequest& request) {
    const std::lock_guard operation(container->operation);
    TRY(check_there(*container));
    const ContainerView view = view_of(*container);
    PlannedMount mount = TRY(plan(request, view.definition->host_config));
    auto changed = std::make_shared<ContainerDefinition>(*view.definition);
    if (find_mount(*changed, mount.point.destination) != nullptr) {
        return conflict("Duplicate mount point: " + mount.point.destination);
    }
    const bool runs = view.life.state.is_running();
    if (runs) {
        TRY(check_nothing_below(*changed, mount.point.destination));
    }
    Rollback rollback;
    rollback.push([&] { let_go(*view.definition, mount, AnonymousVolumes::Remove); });
    TRY(mounts_.make_one(mount, *changed));
    const OwnerMapPtr owners = TRY(owners_of(core_, view));
    TRY(mounts_.fill(with_only(*changed, mount), owners));
    mount.in_transit = runs;
    insert_sorted(*changed, mount);
    remember_request(*changed, request);
    TRY(replace(*container, changed));
    if (runs) {
        auto attached = attach(*container, mount);
        if (!attached.ok()) {
            if (auto undone = replace(*container, view.definition); !undone.ok()) {
                log::warn("mount stays in a container's definition", {{"id", container->id}});
            }
            return attached;
        }
        auto settled = std::make_shared<ContainerDefinition>(*changed);
        find_mount(*settled, mount.point.destination)->in_transit = false;
        changed = std::move(settled);
        if (auto kept = replace(*container, changed); !kept.ok()) {
            if (detach(*container, mount).ok()) {
                mounts_.give_back_one(mount, container->id);
            }
            return kept;
        }
    }
    rollback.commit();
    mounts_.settle(*changed);
    core_.publish(*changed, "update");
    return ok();
}

Result<void> LateMounts::remove(const ContainerPtr& container, const std::string& target) {
    const std::lock_guard operation(container->operation);
    TRY(check_there(*container));
    const ContainerView view = view_of(*container);
    const std::string destination = clean_path(target);
    auto marked = std::make_shared<ContainerDefinition>(*view.definition);
    PlannedMount* found = find_mount(*marked, destination);
    if (found == nullptr) {
        return not_found("container " + view.definition->name + " has no mount at " + destination);
    }
    const PlannedMount mount = *found;
    const bool runs = view.life.state.is_running();
    if (runs) {
        TRY(check_nothing_below(*marked, destination));
        found->in_transit = true;
        TRY(replace(*container, marked));
        auto detached = detach(*container, mount);
        if (!detached.ok()) {
            TRY(replace(*container, view.definition));
            return detached;
        }
    }
    auto changed = std::make_shared<ContainerDefinition>(*view.definition);
    erase_mount(*changed, destination);
    TRY(replace(*container, changed));
    if (runs) {
        mounts_.give_back_one(mount, container->id);
    }
    let_go(*changed, mount, AnonymousVolumes::Keep);
    core_.publish(*changed, "update");
    return ok();
}

// A volume may be mounted elsewhere in the container, too.
void LateMounts::let_go(
    const ContainerDefinition& rest, const PlannedMount& mount, AnonymousVolumes anonymous) {
    const bool has_another =
        mount.point.type == "volume" &&
        std::ranges::any_of(rest.mounts, [&mount](const PlannedMount& other) {
            return other.point.type == "volume" && other.point.name == mount.point.name;
        });
    if (!has_another) {
        mounts_.remove_one(mount, rest.id, anonymous);
    }
}

Result<void> LateMounts::replace(LiveContainer& container, DefinitionPtr definition) {
    TRY(core_.table->update_definition(*definition));
    container.state.lock()->definition = std::move(definition);
    return ok();
}

Result<void> LateMounts::attach(LiveContainer& container, const PlannedMount& mount) {
    const ContainerView view = view_of(container);
    TRY(make_bind_sources(with_only(*view.definition, mount)));
    const UniqueFd inside = TRY(mount_namespace_of(container));
    const MountedRoot root = TRY(mount_root(core_, view));
    bool is_taken = false;
    auto attached = [&]() -> Result<void> {
        MountSource source = TRY(mounts_.take_one(*view.definition, mount, root));
        is_taken = true;
        if (source.place) {
            source.path = "/proc/self/fd/" + std::to_string(source.place.get());
        }
        const runtime::LateMount made = TRY(runtime::make_late_mount(
            runtime_mount(mount, source),
            core_.selinux->is_enabled() ? view.definition->mount_label : std::string()));
        return runtime::attach_late_mount(
            inside, made, mount.point.destination, root_of(root.owners.get()));
    }();
    if (!attached.ok() && is_taken) {
        mounts_.give_back_one(mount, container.id);
    }
    if (auto unmounted = core_.store->layers().unmount(container.id); !unmounted.ok()) {
        log::warn("root not unmounted, ignoring", {{"id", container.id}});
    }
    return attached;
}

Result<void> LateMounts::detach(LiveContainer& container, const PlannedMount& mount) {
    const UniqueFd inside = TRY(mount_namespace_of(container));
    UniqueFd expected;
    const bool is_at_source = mount.point.type == "bind" || mount.point.driver == "local";
    if (is_at_source && mount.subpath.empty()) {
        // Exchanged on the host meanwhile, it is not to be recognized.
        if (auto place = open_file(mount.point.source, O_PATH); place.ok()) {
            expected = std::move(*place);
        }
    }
    return runtime::detach_late_mount(inside, mount.point.destination, expected);
}

void LateMounts::settle(const ContainerPtr& container) {
    const std::lock_guard operation(container->operation);
    const ContainerView view = view_of(*container);
    std::vector<PlannedMount> gone;
    auto changed = std::make_shared<ContainerDefinition>(*view.definition);
    for (const PlannedMount& mount : view.definition->mounts) {
        if (!mount.in_transit) {
            continue;
        }
        if (view.life.state.is_running()) {
            auto detached = detach(*container, mount);
            if (!detached.ok() && detached.error().kind() != ErrorKind::NotFound) {
                log::warn(
                    "mount in transit stays, ignoring",
                    {{"id", container->id}, {"error", detached.error().message()}});
            }
        }
        erase_mount(*changed, mount.point.destination);
        gone.push_back(mount);
    }
    if (gone.empty()) {
        return;
    }
    if (auto replaced = replace(*container, changed); !replaced.ok()) {
        log::warn("mount in transit not forgotten, ignoring", {{"id", container->id}});
        return;
    }
    for (const PlannedMount& mount : gone) {
        if (view.life.state.is_running()) {
            mounts_.give_back_one(mount, container->id);
        }
        let_go(*changed, mount, AnonymousVolumes::Keep);
    }
}

Result<std::shared_ptr<void>>
LateMounts::keep_quiet(const std::set<std::string>& ids, Pause pause) {
    auto quiet = std::make_shared<Quiet>();
    for (const std::string& id : ids) { // in one order, whoever asks
        auto found = core_.index.find(id);
        if (!found.ok()) {
            continue; // another reader
        }
        quiet->containers.push_back(std::move(*found));
        const ContainerPtr& container = quiet->containers.back();
        quiet->locks.emplace_back(container->operation);
        const ContainerStatus status = view_of(*container).life.state.status;
        if (status == ContainerStatus::Running && pause == Pause::No) {
            return conflict(
                "the volume is in use by the running container " +
                view_of(*container).definition->name +
                ": stop or pause it, or ask for it to be paused meanwhile (--pause)");
        }
        quiet->frozen.push_back(TRY(control_.freeze_for_work(container)));
    }
    return std::shared_ptr<void>(std::move(quiet));
}

} // namespace berth::engine
