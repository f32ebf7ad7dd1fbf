// SPDX-License-Identifier: Apache-2.0
// https://www.freedesktop.org/wiki/Software/systemd/ControlGroupInterface/
#include "kernel/cgroup_systemd.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/dbus_connection.h"
#include "kernel/namespace.h"

#include <algorithm>
#include <csignal>
#include <iterator>

#include <sys/prctl.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

constexpr std::string_view error_prefix = "org.freedesktop.systemd1.";
constexpr std::size_t max_unit_name = 255;
constexpr std::string_view slice_suffix = ".slice";

bool failed_with(const Error& error, std::string_view name) {
    return error.message().find(std::string(error_prefix) + std::string(name) + ":") !=
           std::string::npos;
}

bool is_unit_name(std::string_view name) {
    constexpr std::string_view others = ":-_.\\@";
    return !name.empty() && name.size() <= max_unit_name &&
           std::all_of(name.begin(), name.end(), [&](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      others.find(c) != std::string_view::npos;
           });
}

// Ends with its parent: a scope must not stay for a runtime that was killed.
Result<Child> start_placeholder() {
    const pid_t parent = ::getpid();
    Cloned cloned = TRY(clone_process(0, UniqueFd()));
    if (cloned.pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (::getppid() == parent) {
            ::pause();
        }
        ::_exit(0);
    }
    return Child::adopt(cloned.pid, std::move(cloned.pidfd));
}

std::vector<DbusProperty> unit_properties(
    const SystemdScopeOptions& options, const std::optional<Child>& member, CgroupMode mode) {
    std::vector<DbusProperty> properties{
        {"Description", options.description},
        {"MemoryAccounting", true},
        {"CPUAccounting", true},
        {mode == CgroupMode::Version2 ? "IOAccounting" : "BlockIOAccounting", true},
        {"TasksAccounting", true},
        {"DefaultDependencies", false}};
    if (member) {
        properties.push_back({"Slice", options.unit.slice});
        properties.push_back({"Delegate", true});
        properties.push_back(
            {"PIDs", std::vector<std::uint32_t>{static_cast<std::uint32_t>(member->pid())}});
    } else {
        // A slice's place follows from its name, and it takes no processes here.
        properties.push_back({"Wants", std::vector<std::string>{options.unit.slice}});
    }
    for (auto list :
         {options.properties,
          systemd_limits(options.limits, mode),
          systemd_devices(options.devices)}) {
        properties.insert(
            properties.end(),
            std::make_move_iterator(list.begin()),
            std::make_move_iterator(list.end()));
    }
    return properties;
}

Result<std::string> start_unit(
    SystemdConnection& systemd, const std::string& unit, const std::vector<DbusProperty>& list) {
    DbusWriter body;
    body.text(unit);
    body.text("fail");
    body.properties(list);
    body.end_array(body.begin_array(8), 8); // no further units
    return systemd.run_job("StartTransientUnit", "ssa(sv)a(sa(sv))", body.bytes());
}

Result<void> reset_failed(SystemdConnection& systemd, const std::string& unit) {
    DbusWriter body;
    body.text(unit);
    Result<DbusMessage> reset = systemd.call("ResetFailedUnit", "s", body.bytes());
    return reset.ok() || failed_with(reset.error(), "NoSuchUnit")
               ? ok()
               : Result<void>(std::move(reset).error());
}

// What has failed stays until it is reset; what runs is somebody else's.
Result<void> start_new_unit(
    SystemdConnection& systemd, const std::string& unit, const std::vector<DbusProperty>& list) {
    Result<std::string> result = start_unit(systemd, unit, list);
    if (!result.ok() && failed_with(result.error(), "UnitExists")) {
        TRY(reset_failed(systemd, unit));
        result = start_unit(systemd, unit, list);
        if (!result.ok() && failed_with(result.error(), "UnitExists")) {
            return conflict("systemd unit " + unit + " exists already");
        }
    }
    if (!result.ok()) {
        return std::move(result).error().with_context("start systemd unit " + unit);
    }
    if (*result != "done") {
        TRY(reset_failed(systemd, unit));
        return Error(
            ErrorKind::Unavailable, "start systemd unit " + unit + ": the job ended " + *result);
    }
    return ok();
}

// Where systemd has put it. It uses version 2 wherever that is mounted, unless it was told not to;
// somebody else may have mounted it then.
Result<std::string> find_scope(const std::string& unit, pid_t member) {
    Result<std::string> path = Cgroup::unified_path_of(member);
    if (!path.ok() || !path->ends_with("/" + unit)) {
        path = TRY_CONTEXT(Cgroup::systemd_path_of(member), "the systemd cgroup driver");
    }
    return path->ends_with("/" + unit)
               ? path
               : internal_error("systemd unit " + unit + " has the cgroup " + *path);
}

Result<std::string> find_slice(const SystemdUnit& unit, const CgroupLayout& layout) {
    std::string path = systemd_cgroup_path(unit);
    for (const std::string& root : {layout.unified, layout.named_systemd}) {
        if (!root.empty() && berth::exists(root + path)) {
            return path;
        }
    }
    return internal_error("systemd unit " + unit.name + " has no cgroup " + path);
}

// "a-b.slice" -> "/a.slice/a-b.slice"
std::string slice_path(const std::string& slice) {
    std::string path;
    if (slice != "-.slice") {
        const std::size_t end = slice.size() - slice_suffix.size();
        for (std::size_t dash = slice.find('-'); dash < end; dash = slice.find('-', dash + 1)) {
            path += "/" + slice.substr(0, dash) + std::string(slice_suffix);
        }
        path += "/" + slice;
    }
    return path;
}

} // namespace

// A chain of names with single dashes: systemd makes a directory of each dash.
bool is_systemd_slice(std::string_view slice) {
    if (slice == "-.slice") {
        return true;
    }
    if (!slice.ends_with(slice_suffix) || !is_unit_name(slice)) {
        return false;
    }
    slice.remove_suffix(slice_suffix.size());
    return !slice.empty() && slice.front() != '-' && slice.back() != '-' &&
           slice.find("--") == std::string_view::npos;
}

std::string systemd_cgroup_path(const SystemdUnit& unit) {
    return unit.is_slice() ? slice_path(unit.name) : slice_path(unit.slice) + "/" + unit.name;
}

Result<SystemdUnit> parse_systemd_path(
    const std::string& cgroups_path, const std::string& id, const std::string& default_slice) {
    if (cgroups_path.empty()) {
        return SystemdUnit{default_slice, "berth-" + id + ".scope"};
    }
    std::vector<std::string_view> parts = split(cgroups_path, ':');
    if (parts.size() != 3) {
        return invalid_argument(
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got "
            "\"" +
            cgroups_path + "\" instead");
    }
    SystemdUnit unit{parts[0].empty() ? default_slice : std::string(parts[0]), ""};
    if (parts[2].ends_with(slice_suffix)) {
        unit.name = std::string(parts[2]);
    } else {
        unit.name = (parts[1].empty() ? "" : std::string(parts[1]) + "-") + std::string(parts[2]) +
                    ".scope";
    }
    if (!is_systemd_slice(unit.slice)) {
        return invalid_argument("invalid slice name \"" + unit.slice + "\" in cgroupsPath");
    }
    if (parts[2].empty() || !is_unit_name(unit.name) ||
        (unit.is_slice() && (unit.name == "-.slice" || !is_systemd_slice(unit.name)))) {
        return invalid_argument("invalid unit name \"" + unit.name + "\" in cgroupsPath");
    }
    return unit;
}

Result<SystemdScope> SystemdScope::start(const SystemdScopeOptions& options) {
    const CgroupLayout& layout = *TRY(cgroup_layout());
    SystemdConnection systemd = TRY(SystemdConnection::open());
    const std::string& unit = options.unit.name;
    std::optional<Child> placeholder;
    if (!options.unit.is_slice()) {
        placeholder = TRY(start_placeholder());
    }
    TRY(start_new_unit(systemd, unit, unit_properties(options, placeholder, layout.mode)));
    std::string path =
        TRY(placeholder ? find_scope(unit, placeholder->pid()) : find_slice(options.unit, layout));
    return SystemdScope(unit, std::move(path), std::move(placeholder));
}

Result<void> attach_to_systemd_unit(const std::string& unit, pid_t pid) {
    SystemdConnection systemd = TRY(SystemdConnection::open());
    DbusWriter body;
    body.text(unit);
    body.text(""); // not a group below
    std::size_t begin = body.begin_array(sizeof(std::uint32_t));
    body.number(static_cast<std::uint32_t>(pid));
    body.end_array(begin, sizeof(std::uint32_t));
    TRY_CONTEXT(
        systemd.call("AttachProcessesToUnit", "ssau", body.bytes()),
        "move a process into systemd unit " + unit);
    return ok();
}

Result<void>
update_systemd_unit(const std::string& unit, const std::vector<DbusProperty>& properties) {
    if (properties.empty()) {
        return ok();
    }
    SystemdConnection systemd = TRY(SystemdConnection::open());
    DbusWriter body;
    body.text(unit);
    body.number(std::uint32_t{1}); // until the next boot
    body.properties(properties);
    TRY_CONTEXT(
        systemd.call("SetUnitProperties", "sba(sv)", body.bytes()),
        "set properties of systemd unit " + unit);
    return ok();
}

Result<void> stop_systemd_unit(const std::string& unit) {
    SystemdConnection systemd = TRY(SystemdConnection::open());
    DbusWriter body;
    body.text(unit);
    body.text("replace");
    Result<std::string> stopped = systemd.run_job("StopUnit", "ss", body.bytes());
    if (!stopped.ok() && !failed_with(stopped.error(), "NoSuchUnit")) {
        return std::move(stopped).error().with_context("stop systemd unit " + unit);
    }
    return reset_failed(systemd, unit);
}

} // namespace berth::kernel
