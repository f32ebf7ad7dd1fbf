// SPDX-License-Identifier: Apache-2.0
// Creation of containers: everything is checked first, then volumes, the writable layer and the row
// are made, in this order. What a crash leaves without a row is swept at the next start.
#pragma once

#include "engine/container_mounts.h"
#include "engine/core.h"

namespace berth::engine {

class ContainerCreator {
  public:
    explicit ContainerCreator(Core& core)
        : core_(core)
        , mounts_(core) {}

    Result<CreateResult> create(CreateRequest request);

  private:
    Result<void> label(ContainerDefinition& definition) const;
    Result<void> check_runtime(const HostConfig& host_config) const;
    Result<void> check_networks(CreateRequest& request) const;
    Result<std::string> reserve_name(const std::string& wanted, const std::string& id);

    Core& core_;
    ContainerMounts mounts_;
};

} // namespace berth::engine
