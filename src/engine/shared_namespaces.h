// SPDX-License-Identifier: Apache-2.0
// Namespaces of other containers that a starting one joins (network, ipc, pid: container:x).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "engine/container_record.h"

#include <string>

namespace berth::engine {

struct Core;

struct SharedNamespaces {
    UniqueFd network;
    UniqueFd ipc;
    UniqueFd pid;
    UniqueFd user;               // theirs, to which all of them belong
    std::string hostname;        // of the container whose network is joined
    std::string files_directory; // its hosts, hostname and resolv.conf; empty: our own
    std::string shm_path;        // /dev/shm of the container whose ipc namespace is joined
};

// Conflict for containers that do not run, or that the user namespace of this one has no rights
// over.
Result<SharedNamespaces> shared_namespaces(Core& core, const ContainerDefinition& definition);

} // namespace berth::engine
