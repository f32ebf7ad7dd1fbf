// SPDX-License-Identifier: Apache-2.0
// While a container runs its own maps count, which an engine before this one may have given it.
#include "engine/user_namespace.h"

#include "base/log.h"
#include "engine/config_check.h"
#include "engine/core.h"
#include "engine/subordinate_ids.h"

#include <algorithm>
#include <limits>

namespace berth::engine {
namespace {

// As those of the pool, and groups of the container may ping.
Result<void> set_up_network(Core& core, FdRef network_namespace, const kernel::OwnerMap& owners) {
    std::uint32_t first = std::numeric_limits<std::uint32_t>::max();
    std::uint32_t last = 0;
    for (const kernel::IdRange& range : owners.maps().gids) {
        first = std::min(first, range.outside);
        last = std::max(last, range.outside + (range.size - 1));
    }
    return core.network->registry().driver().set_up_namespace(
        network_namespace,
        {{"net.ipv4.ping_group_range", std::to_string(first) + " " + std::to_string(last)}});
}

} // namespace

// moby's daemon/daemon_unix.go, verifyPlatformContainerSettings
Result<void> check_user_namespace(const HostConfig& host, const DaemonConfig& daemon) {
    if (!host.userns_mode.empty() && !is_host_mode(host.userns_mode)) {
        return invalid_argument("invalid USER mode: " + host.userns_mode);
    }
    if (!daemon.remaps_users() || is_host_mode(host.userns_mode)) {
        return ok();
    }
    if (host.privileged) {
        return invalid_argument(
            "privileged mode is incompatible with user namespaces.  You must run the container in "
            "the host namespace when running privileged mode");
    }
    if (is_host_mode(host.network_mode)) {
        return invalid_argument(
            "cannot share the host's network namespace when user namespaces are enabled");
    }
    if (is_host_mode(host.pid_mode)) {
        return invalid_argument(
            "cannot share the host PID namespace when user namespaces are enabled");
    }
    return ok();
}

Result<OwnerMapPtr> configured_owners(const DaemonConfig& config) {
    if (config.userns_remap.empty()) {
        return OwnerMapPtr();
    }
    const RemapOwner owner = TRY(parse_userns_remap(config.userns_remap));
    if (maps_nothing(owner)) {
        log::warn("User namespaces: root cannot be remapped with itself; user namespaces are OFF");
        return OwnerMapPtr();
    }
    kernel::IdMaps maps = TRY(subordinate_ids(owner));
    log::info(
        "User namespaces: ID ranges will be mapped to subuid/subgid ranges",
        {{"user", owner.user}});
    return TRY_CONTEXT(kernel::OwnerMap::create(std::move(maps)), "--userns-remap");
}

OwnerMapPtr owners_at_start(const Core& core, const HostConfig& host) {
    return is_host_mode(host.userns_mode) ? nullptr : core.owners;
}

Result<OwnerMapPtr> owners_of(const Core& core, const ContainerView& container) {
    const ContainerLife& life = container.life;
    if (!life.state.is_running()) {
        return owners_at_start(core, container.definition->host_config);
    }
    if (life.uid_map.empty()) {
        return OwnerMapPtr();
    }
    kernel::IdMaps maps;
    maps.uids = TRY(kernel::parse_id_map(life.uid_map));
    maps.gids = TRY(kernel::parse_id_map(life.gid_map));
    if (core.owners != nullptr && core.owners->maps_like(maps)) {
        return core.owners;
    }
    return kernel::OwnerMap::create(std::move(maps)); // an earlier engine's
}

Result<MountedRoot> mount_root(Core& core, const ContainerView& container) {
    MountedRoot root;
    root.owners = TRY(owners_of(core, container));
    root.path = TRY(core.store->layers().mount(container.definition->id, root.owners));
    return root;
}

Result<kernel::UserNamespaces>
make_user_namespace(Core& core, const ContainerDefinition& definition, SharedNamespaces& shared) {
    TRY(check_user_namespace(definition.host_config, core.config()));
    const kernel::OwnerMap& owners = *core.owners;
    kernel::UserNamespaces made;
    if (!shared.user) {
        made = TRY(kernel::make_user_and_network_namespace(
            kernel::id_map_text(owners.maps().uids), kernel::id_map_text(owners.maps().gids)));
    } else {
        made.user = std::move(shared.user);
        if (!shared.network) {
            made.network = TRY(kernel::make_network_namespace(made.user));
        }
    }
    if (made.network) {
        TRY(set_up_network(core, made.network, owners));
    }
    return made;
}

} // namespace berth::engine
