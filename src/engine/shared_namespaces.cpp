// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/oci_linux.go, WithNamespaces: the user namespace of the other container comes
// with what is shared of it.
#include "engine/shared_namespaces.h"

#include "base/file.h"
#include "engine/config_check.h"
#include "engine/container_files.h"
#include "engine/core.h"
#include "engine/user_namespace.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::engine {
namespace {

constexpr int shared_network_limit = 64;

Result<UniqueFd> open_namespace(std::int64_t pid, const char* name) {
    return open_file("/proc/" + std::to_string(pid) + "/ns/" + name, O_RDONLY);
}

// The container whose network it is, and hosts, resolv.conf and hostname with it: the one that is
// named may share another's itself.
Result<ContainerPtr> network_owner(const ContainerIndex& index, std::string name) {
    for (int step = 0; step < shared_network_limit; ++step) {
        ContainerPtr owner = TRY(index.find(name));
        name = container_of_mode(view_of(*owner).definition->host_config.network_mode);
        if (name.empty()) {
            return owner;
        }
    }
    return conflict("containers share their networks in a circle: " + name);
}

// Who is in a user namespace has no rights over namespaces that belong to another one.
Result<void> share_user_namespace(
    const Core& core,
    const ContainerDefinition& definition,
    const ContainerView& other,
    const char* what,
    SharedNamespaces& shared) {
    const OwnerMapPtr owners = owners_at_start(core, definition.host_config);
    if (owners == nullptr) {
        return ok();
    }
    const OwnerMapPtr theirs = TRY(owners_of(core, other));
    if (theirs != owners) {
        return conflict(
            std::string("cannot join ") + what + " of container " + other.definition->id +
            ": it has " + (theirs == nullptr ? "no" : "another") +
            " user namespace (hint: --userns=host)");
    }
    UniqueFd user = TRY(open_namespace(other.life.state.pid, "user"));

    struct stat first {};

    struct stat second {};

    if (shared.user && (fstat(shared.user.get(), &first) != 0 || fstat(user.get(), &second) != 0 ||
                        first.st_ino != second.st_ino)) {
        return conflict(
            std::string("cannot join ") + what + " of container " + other.definition->id +
            ": it has another user namespace than the other container that is joined");
    }
    shared.user = std::move(user);
    return ok();
}

} // namespace

Result<SharedNamespaces> shared_namespaces(Core& core, const ContainerDefinition& definition) {
    SharedNamespaces shared;
    const auto running =
        [&core](const std::string& text, const char* what) -> Result<ContainerView> {
        ContainerPtr other = TRY(core.index.find(text));
        ContainerView view = view_of(*other);
        if (!view.life.state.is_running()) {
            return conflict(
                std::string("cannot join ") + what + " of a non running container: " + text);
        }
        return view;
    };
    if (const std::string name = container_of_mode(definition.host_config.network_mode);
        !name.empty()) {
        const ContainerView other = TRY(running(name, "network"));
        TRY(share_user_namespace(core, definition, other, "network", shared));
        shared.network = TRY(open_namespace(other.life.state.pid, "net"));
        const ContainerPtr owner = TRY(network_owner(core.index, name));
        shared.hostname = view_of(*owner).definition->config.hostname;
        shared.files_directory = core.directory(owner->id);
    }
    if (const std::string name = container_of_mode(definition.host_config.pid_mode);
        !name.empty()) {
        const ContainerView other = TRY(running(name, "PID"));
        TRY(share_user_namespace(core, definition, other, "PID", shared));
        shared.pid = TRY(open_namespace(other.life.state.pid, "pid"));
    }
    if (const std::string name = container_of_mode(definition.host_config.ipc_mode);
        !name.empty()) {
        const ContainerView other = TRY(running(name, "IPC"));
        TRY(share_user_namespace(core, definition, other, "IPC", shared));
        if (other.definition->host_config.ipc_mode != "shareable") {
            return conflict(
                "can't join IPC of container " + name +
                ": non-shareable IPC (hint: use IpcMode:shareable for the donor container)");
        }
        shared.ipc = TRY(open_namespace(other.life.state.pid, "ipc"));
        shared.shm_path = shared_memory_path(core, other.definition->id);
    }
    return shared;
}

} // namespace berth::engine
