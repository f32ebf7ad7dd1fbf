// SPDX-License-Identifier: Apache-2.0
// A container's files, whether it runs or not: its root with its volumes, binds and image mounts
// and the three files that the engine writes. For a container that runs with its tmpfs mounts too.
#pragma once

#include "base/result.h"
#include "base/rollback.h"
#include "base/unique_fd.h"
#include "engine/live_container.h"
#include "kernel/file_maker.h"
#include "kernel/owner_map.h"
#include "runtime/file_tree.h"

#include <memory>

namespace berth::engine {

struct Core;

class ContainerTree {
  public:
    // Waits for whatever is being done to the container; afterwards it may be started, stopped and
    // removed while the tree is used.
    static Result<ContainerTree> open(Core& core, LiveContainer& container);

    // O_PATH. Everything below is walked within it.
    FdRef root() const { return tree_.root; }

    // Whose its files are shown to be; nullptr: in no user namespace.
    const kernel::OwnerMap* owners() const { return owners_.get(); }

    const ContainerDefinition& definition() const { return *definition_; }

  private:
    ContainerTree() = default;

    std::shared_ptr<const ContainerDefinition> definition_;
    std::shared_ptr<const kernel::OwnerMap> owners_;
    std::unique_ptr<Rollback> give_back_;
    runtime::FileTree tree_; // goes first
};

// Who makes what is made in its files: the root of its user namespace.
kernel::FileMaker root_of(const kernel::OwnerMap* owners);

// /proc/<pid>/ns/mnt of a container that runs, or Conflict.
Result<UniqueFd> mount_namespace_of(LiveContainer& container);

} // namespace berth::engine
