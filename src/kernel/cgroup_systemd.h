// SPDX-License-Identifier: Apache-2.0
// A container's groups as a unit of systemd, which then knows them and shows them. A scope it
// leaves alone (Delegate=yes); a slice is what somebody asks for who wants units below the
// container's. Decision: docs/decisions/0011-systemd-over-a-small-d-bus-client.md.
#pragma once

#include "base/result.h"
#include "kernel/cgroup.h"
#include "kernel/dbus_message.h"
#include "kernel/process.h"

#include <optional>
#include <string>
#include <vector>

namespace berth::kernel {

struct SystemdUnit {
    std::string slice; // "system.slice"
    std::string name;  // "docker-<id>.scope", or "pod-<id>.slice"

    bool is_slice() const { return name.ends_with(".slice"); }
};

// cgroupsPath of the form "slice:prefix:name"; "" is the default. A name that ends with ".slice" is
// the unit's, without the prefix. InvalidArgument for others.
Result<SystemdUnit> parse_systemd_path(
    const std::string& cgroups_path,
    const std::string& id,
    const std::string& default_slice = "system.slice");

// "a-b.slice": a name that systemd takes.
bool is_systemd_slice(std::string_view slice);

// Where the system's manager puts it, below the mount point: "/a.slice/a-b.slice/c.scope". Of a
// slice its name says it, whatever slice it was to be in.
std::string systemd_cgroup_path(const SystemdUnit& unit);

// Limits and device rules in systemd's words, which are others for the files of version 1; what it
// has no word for is left to the files.
std::vector<DbusProperty> systemd_limits(const CgroupLimits& limits, CgroupMode mode);
std::vector<DbusProperty> systemd_devices(const std::vector<CgroupDeviceRule>& rules);

struct SystemdScopeOptions {
    SystemdUnit unit;
    std::string description;
    const CgroupLimits& limits;
    const std::vector<CgroupDeviceRule>& devices;
    const std::vector<DbusProperty>& properties; // the user's own; the last of a name counts
};

// A scope is born around a process and ends with its last one. A process of ours that does nothing
// holds it open until the container's init is in its group. A slice needs none.
class SystemdScope {
  public:
    // REQUIRES: the calling process has one thread. Returns once systemd has made the group.
    static Result<SystemdScope> start(const SystemdScopeOptions& options);

    const std::string& unit() const { return unit_; }

    const std::string& cgroup_path() const { return cgroup_path_; } // below the mount points

    // REQUIRES: another process is in the group.
    void release() { placeholder_.reset(); }

  private:
    SystemdScope(std::string unit, std::string cgroup_path, std::optional<Child> placeholder)
        : unit_(std::move(unit))
        , cgroup_path_(std::move(cgroup_path))
        , placeholder_(std::move(placeholder)) {}

    std::string unit_;
    std::string cgroup_path_;
    std::optional<Child> placeholder_;
};

// Moves a process in where the caller must not: systemd does it for the owner of both.
Result<void> attach_to_systemd_unit(const std::string& unit, pid_t pid);

Result<void>
update_systemd_unit(const std::string& unit, const std::vector<DbusProperty>& properties);

// Absent is fine.
Result<void> stop_systemd_unit(const std::string& unit);

} // namespace berth::kernel
