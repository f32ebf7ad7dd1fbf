// SPDX-License-Identifier: Apache-2.0
// `network connect` and `network disconnect`: the books of the container (what it asked for, and
// what it has while it runs) and the kernel change together.
#pragma once

#include "engine/container_files.h"
#include "engine/core.h"

#include <string>

namespace berth::engine {

class NetworkConnector {
  public:
    explicit NetworkConnector(Core& core)
        : core_(core) {}

    // Of a container that runs, at once; of another one, for its next start.
    Result<void> connect(
        const KnownNetwork& network,
        const ContainerPtr& container,
        const EndpointSettings& settings);

    Result<void> disconnect(const std::string& network, const ContainerPtr& container);

    // Both columns in one transaction, then the memory. False: there are no endpoints, or the
    // container has ended meanwhile; only the definition was changed. REQUIRES: the caller holds
    // the container's `operation`.
    Result<bool> commit(
        LiveContainer& container,
        std::uint64_t run,
        std::shared_ptr<const ContainerDefinition> definition,
        const std::vector<EndpointState>* endpoints);

  private:
    ContainerFilesInput files_with(
        const ContainerDefinition& definition, const std::vector<EndpointState>& endpoints) const;
    Result<void> connect_running(
        const KnownNetwork& network,
        LiveContainer& container,
        const ContainerView& view,
        const std::shared_ptr<const ContainerDefinition>& changed);
    Result<void> disconnect_running(
        const std::string& network,
        LiveContainer& container,
        const ContainerView& view,
        const std::shared_ptr<const ContainerDefinition>& changed);

    Core& core_;
};

} // namespace berth::engine
