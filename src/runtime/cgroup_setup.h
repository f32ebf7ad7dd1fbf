// SPDX-License-Identifier: Apache-2.0
// A container's groups by either driver: directories of our own (cgroupfs) or a unit of systemd.
#pragma once

#include "base/result.h"
#include "kernel/cgroup.h"
#include "kernel/cgroup_systemd.h"
#include "oci/runtime_config.h"
#include "runtime/container.h"

#include <optional>
#include <string>

namespace berth::runtime {

struct ContainerCgroup {
    kernel::Cgroup cgroup;
    kernel::CgroupLimits limits;
    std::optional<kernel::SystemdScope> scope; // until init is in the group

    // Once init is in the group: lets go of what held a scope open.
    Result<void> settle();
};

struct CgroupRequest {
    const oci::RuntimeConfig& config;
    const std::string& id;
    bool systemd = false;
    CgroupRights rights = CgroupRights::Auto;
    const kernel::Cgroup* made = nullptr; // CreateOptions::cgroup
};

// A user may make processes neither in nor into a group that the user's own systemd has made,
// unless the caller runs below that systemd: it moves them.
bool systemd_moves_processes(const std::string& unit);

// Known before anything is made.
struct CgroupPlace {
    std::string path; // "" where systemd decides
    std::string unit; // "" without systemd
};

Result<CgroupPlace> plan_cgroup(const CgroupRequest& request);

// Made and limited; an error leaves nothing.
Result<ContainerCgroup> create_cgroup(const CgroupRequest& request, const CgroupPlace& place);

// `configured`: the container's own resources, whose rules for devices hold without new ones.
struct CgroupUpdate {
    const std::string& unit;
    const oci::Resources& resources;
    const oci::Resources& configured;
};

Result<void> update_cgroup(kernel::Cgroup& cgroup, const CgroupUpdate& update);

// REQUIRES: its processes are killed. Absent is fine.
Result<void> remove_cgroup(const kernel::Cgroup& cgroup, const std::string& unit);

} // namespace berth::runtime
