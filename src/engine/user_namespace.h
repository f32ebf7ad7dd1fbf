// SPDX-License-Identifier: Apache-2.0
// Containers in user namespaces (--userns-remap): which are, and whose their files are shown to be.
// A container is mapped when it starts, by what the engine maps then: nothing about it is kept in
// its files, so that engines with and without a mapping take turns over one data root.
#pragma once

#include "base/result.h"
#include "engine/container_config.h"
#include "engine/daemon_config.h"
#include "engine/live_container.h"
#include "engine/shared_namespaces.h"
#include "kernel/namespace.h"
#include "kernel/owner_map.h"

#include <memory>
#include <string>

namespace berth::engine {

struct Core;

using OwnerMapPtr = std::shared_ptr<const kernel::OwnerMap>; // nullptr: no user namespace

// InvalidArgument, in Docker's words, for what a user namespace cannot be had together with.
Result<void> check_user_namespace(const HostConfig& host, const DaemonConfig& daemon);

// --userns-remap of a starting engine; nullptr without. InvalidArgument without ids to map to.
Result<OwnerMapPtr> configured_owners(const DaemonConfig& config);

// As the container would be started.
OwnerMapPtr owners_at_start(const Core& core, const HostConfig& host);
// As it runs, or else would be started.
Result<OwnerMapPtr> owners_of(const Core& core, const ContainerView& container);

// A container's root file system, mounted.
struct MountedRoot {
    std::string path;
    OwnerMapPtr owners{};
};

// Wants its unmount() of the layer store.
Result<MountedRoot> mount_root(Core& core, const ContainerView& container);

// For a container that starts in a user namespace: a new one, unless it shares another's, and a
// network namespace that belongs to it, unless it shares that. It is made before the networks are:
// only to whom it belongs may mount its /sys and change it. InvalidArgument as by
// check_user_namespace(): the container may have been created while there was no mapping.
Result<kernel::UserNamespaces>
make_user_namespace(Core& core, const ContainerDefinition& definition, SharedNamespaces& shared);

} // namespace berth::engine
