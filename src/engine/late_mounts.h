// SPDX-License-Identifier: Apache-2.0
// Mounts added to and taken from containers, running or not, and containers kept quiet while their
// volumes are read.
#pragma once

#include "engine/container_control.h"
#include "engine/container_mounts.h"
#include "engine/core.h"

#include <memory>
#include <set>
#include <string>

namespace berth::engine {

class LateMounts {
  public:
    LateMounts(Core& core, ContainerControl& control)
        : core_(core)
        , control_(control)
        , mounts_(core) {}

    Result<void> add(const ContainerPtr& container, const MountRequest& request);
    Result<void> remove(const ContainerPtr& container, const std::string& target);

    // Of an engine that starts: what the last one was about to add or to take away goes.
    void settle(const ContainerPtr& container);

    // Until the result is gone none of these containers can write: those that do not run cannot
    // start, those that are paused stay so. Those that run are paused, or a Conflict.
    Result<std::shared_ptr<void>> keep_quiet(const std::set<std::string>& ids, Pause pause);

  private:
    using DefinitionPtr = std::shared_ptr<const ContainerDefinition>;

    Result<void> attach(LiveContainer& container, const PlannedMount& mount);
    Result<void> detach(LiveContainer& container, const PlannedMount& mount);
    // Into the database first, then for everybody to see.
    Result<void> replace(LiveContainer& container, DefinitionPtr definition);
    // The rest of the container does without it.
    void
    let_go(const ContainerDefinition& rest, const PlannedMount& mount, AnonymousVolumes anonymous);

    Core& core_;
    ContainerControl& control_;
    ContainerMounts mounts_;
};

} // namespace berth::engine
