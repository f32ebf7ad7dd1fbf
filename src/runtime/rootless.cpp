// SPDX-License-Identifier: Apache-2.0
// Mounting, pivoting and joining need rights over a mount namespace, so they come after the move;
// nothing but the id maps is done outside.
#include "runtime/rootless.h"

#include "kernel/id_mapping.h"

#include <algorithm>
#include <cerrno>

#include <poll.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

std::vector<kernel::IdRange> ranges_of(const std::vector<oci::IdMapping>& mappings) {
    std::vector<kernel::IdRange> ranges;
    for (const oci::IdMapping& mapping : mappings) {
        ranges.push_back({mapping.container_id, mapping.host_id, mapping.size});
    }
    return ranges;
}

bool maps_root(const std::vector<oci::IdMapping>& mappings) {
    return std::any_of(mappings.begin(), mappings.end(), [](const oci::IdMapping& mapping) {
        return mapping.container_id == 0 && mapping.size > 0;
    });
}

constexpr int execute_wait_milliseconds = 2000;

bool ends_within_a_millisecond(FdRef process) {
    pollfd ended{process.get(), POLLIN, 0};
    return ::poll(&ended, 1, 1) > 0;
}

bool is_user_namespace(const oci::Namespace& entry) {
    return entry.type == "user";
}

} // namespace

Result<void> enter_rootless(oci::RuntimeConfig& config) {
    if (::geteuid() == 0) {
        return ok();
    }
    std::vector<oci::Namespace>& namespaces = config.linux_.namespaces;
    auto user = std::find_if(namespaces.begin(), namespaces.end(), is_user_namespace);
    if (user == namespaces.end()) {
        return invalid_argument(
            "rootless container requires user namespaces: \"berth-runtime spec --rootless\" writes "
            "a config.json with one");
    }
    if (!user->path.empty()) {
        return not_implemented("joining a user namespace by path is not implemented for users");
    }
    if (!maps_root(config.linux_.uid_mappings) || !maps_root(config.linux_.gid_mappings)) {
        return invalid_argument("rootless container requires that linux.uidMappings and "
                                "linux.gidMappings map the container's id 0");
    }
    TRY(kernel::enter_new_user_namespace(
        ranges_of(config.linux_.uid_mappings), ranges_of(config.linux_.gid_mappings)));
    namespaces.erase(user);
    config.linux_.uid_mappings.clear();
    config.linux_.gid_mappings.clear();
    return ok();
}

Result<bool> join_rootless(FdRef init, const oci::RuntimeConfig& config) {
    const std::vector<oci::Namespace>& namespaces = config.linux_.namespaces;
    if (::geteuid() == 0 || std::none_of(namespaces.begin(), namespaces.end(), is_user_namespace)) {
        return false;
    }
    Result<void> joined = kernel::join_user_namespace(init);
    // Until init executes its program the kernel lets nobody but root look into it, and start does
    // not wait for that.
    for (int waited = 0; !joined.ok() && joined.error().error_number() == EPERM &&
                         waited < execute_wait_milliseconds && !ends_within_a_millisecond(init);
         ++waited) {
        joined = kernel::join_user_namespace(init);
    }
    TRY_CONTEXT(std::move(joined), "join the container's user namespace");
    return true;
}

} // namespace berth::runtime
