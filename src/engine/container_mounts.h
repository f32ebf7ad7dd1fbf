// SPDX-License-Identifier: Apache-2.0
// A container's volumes and image mounts: made with it, mounted while it runs, given back, removed
// with it.
#pragma once

#include "base/result.h"
#include "engine/container_record.h"
#include "engine/mount_source.h"
#include "engine/user_namespace.h"
#include "engine/volumes.h"

#include <stop_token>
#include <string>
#include <vector>

namespace berth::engine {

struct Core;

enum class AnonymousVolumes : bool { Keep, Remove };

class ContainerMounts {
  public:
    explicit ContainerMounts(Core& core)
        : core_(core) {}

    // At creation: every volume and image layer that the definition names. What is made so far is
    // written into the definition at once, so that remove() undoes it after an error.
    Result<void> make(ContainerDefinition& definition);
    Result<void> make_one(PlannedMount& mount, const ContainerDefinition& definition);
    // The first content of its volumes. REQUIRES: its writable layer is there; `owners` are those
    // that its root is or would be mounted for. Here as below a stop ends the wait for a share's
    // server.
    Result<void> fill(
        const ContainerDefinition& definition,
        const OwnerMapPtr& owners,
        const std::stop_token& stop = {});
    // The container is in the database.
    void settle(const ContainerDefinition& definition);

    // For a start: the source of each mount of the definition, in its order; give_back()
    // afterwards, also after an error.
    Result<std::vector<MountSource>> take(
        const ContainerDefinition& definition,
        const MountedRoot& root,
        const std::stop_token& stop = {});
    Result<MountSource> take_one(
        const ContainerDefinition& definition,
        const PlannedMount& mount,
        const MountedRoot& root,
        const std::stop_token& stop = {});
    void give_back(const ContainerDefinition& definition);
    // The events of it, which come first where everybody is told of an exit before its mounts go.
    void tell_of_return(const ContainerDefinition& definition) const;
    void give_back_one(const PlannedMount& mount, const std::string& container_id);
    // It runs since an engine that is no more.
    void adopt(const ContainerDefinition& definition);

    // The container is not in the database any more.
    void remove(const ContainerDefinition& definition, AnonymousVolumes anonymous);
    void remove_one(
        const PlannedMount& mount, const std::string& container_id, AnonymousVolumes anonymous);

  private:
    Result<void> relabel(
        const ContainerDefinition& definition,
        const PlannedMount& mount,
        FdRef place,
        const std::string& path) const;
    Result<void> take_inherited(const PlannedMount& mount, const std::string& container_id);
    Result<void> prepare_owner(
        const ContainerDefinition& definition,
        const PlannedMount& mount,
        MountSource& source,
        const MountedRoot& root);
    bool is_own_volume(const PlannedMount& mount) const;
    void publish(
        const ContainerDefinition& definition,
        const PlannedMount& mount,
        const std::string& action) const;

    Core& core_;
};

} // namespace berth::engine
