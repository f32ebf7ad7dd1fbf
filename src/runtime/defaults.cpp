// SPDX-License-Identifier: Apache-2.0
// moby: daemon/pkg/oci/defaults.go, oci/caps/utils_linux.go, daemon/oci_linux.go.
#include "runtime/defaults.h"

#include "base/strings.h"
#include "kernel/capabilities.h"

#include <algorithm>

namespace berth::runtime {

namespace {

std::vector<oci::Mount> default_mounts(const DefaultsInput& input) {
    const std::string writable = input.privileged ? "rw" : "ro";
    std::vector<oci::Mount> mounts{
        {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
        {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
        {"/dev/pts",
         "devpts",
         "devpts",
         {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
        {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", writable}},
        {"/sys/fs/cgroup", "cgroup", "cgroup", {writable, "nosuid", "noexec", "nodev"}},
        {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}}};
    if (input.shm_size > 0) {
        mounts.push_back(
            {"/dev/shm",
             "tmpfs",
             "shm",
             {"nosuid", "noexec", "nodev", "mode=1777", "size=" + std::to_string(input.shm_size)}});
    }
    return mounts;
}

// "net_admin" -> "CAP_NET_ADMIN"; "ALL" stays.
std::string normalised(std::string_view name) {
    std::string upper = to_upper(trim(name));
    return upper == "ALL" || upper.starts_with("CAP_") ? upper : "CAP_" + upper;
}

Result<std::vector<std::string>>
checked_capabilities(const std::vector<std::string>& names, std::string_view option) {
    std::vector<std::string> result;
    for (const std::string& name : names) {
        std::string wanted = normalised(name);
        if (wanted != "ALL" && !kernel::capability_number(wanted)) {
            return invalid_argument(
                "invalid " + std::string(option) + ": unknown capability: \"" + wanted + "\"");
        }
        result.push_back(std::move(wanted));
    }
    return result;
}

} // namespace

const std::vector<std::string>& default_capabilities() {
    static const std::vector<std::string> names{
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE"};
    return names;
}

const std::vector<std::string>& all_capabilities() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> all;
        for (int number = 0; number <= kernel::last_capability(); ++number) {
            all.emplace_back(kernel::capability_name(number));
        }
        return all;
    }();
    return names;
}

Result<std::vector<std::string>> adjust_capabilities(
    const std::vector<std::string>& base,
    const std::vector<std::string>& add,
    const std::vector<std::string>& drop,
    bool privileged) {
    std::vector<std::string> added = TRY(checked_capabilities(add, "CapAdd"));
    std::vector<std::string> dropped = TRY(checked_capabilities(drop, "CapDrop"));
    if (privileged) {
        return all_capabilities();
    }
    std::vector<std::string> result;
    auto append =
        [&result](const std::vector<std::string>& names, const std::vector<std::string>& without) {
            for (const std::string& name : names) {
                if (!contains(without, name) && !contains(result, name)) {
                    result.push_back(name);
                }
            }
        };
    if (contains(added, "ALL")) {
        append(all_capabilities(), dropped);
    } else if (contains(dropped, "ALL")) {
        append(added, {});
    } else {
        // A name in both lists is added, as Docker does it.
        append(base, dropped);
        append(added, {});
    }
    return result;
}

oci::Capabilities capability_sets(const std::vector<std::string>& names) {
    // Inheritable stays empty (CVE-2022-24769): a program without file capabilities must not get
    // any by being executed.
    return {
        .bounding = names,
        .effective = names,
        .inheritable = {},
        .permitted = names,
        .ambient = {}};
}

const std::vector<std::string>& default_masked_paths() {
    static const std::vector<std::string> paths{
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/devices/virtual/powercap",
        "/sys/firmware"};
    return paths;
}

const std::vector<std::string>& default_readonly_paths() {
    static const std::vector<std::string> paths{
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    return paths;
}

const std::vector<oci::DeviceRule>& default_device_rules() {
    static const std::vector<oci::DeviceRule> rules{
        {.allow = false, .type = "a", .access = "rwm"},
        {.allow = true, .type = "c", .access = "m"},
        {.allow = true, .type = "b", .access = "m"},
        {.allow = true, .type = "c", .major = 1, .minor = 3, .access = "rwm"},     // null
        {.allow = true, .type = "c", .major = 1, .minor = 5, .access = "rwm"},     // zero
        {.allow = true, .type = "c", .major = 1, .minor = 7, .access = "rwm"},     // full
        {.allow = true, .type = "c", .major = 1, .minor = 8, .access = "rwm"},     // random
        {.allow = true, .type = "c", .major = 1, .minor = 9, .access = "rwm"},     // urandom
        {.allow = true, .type = "c", .major = 5, .minor = 0, .access = "rwm"},     // tty
        {.allow = true, .type = "c", .major = 5, .minor = 1, .access = "rwm"},     // console
        {.allow = true, .type = "c", .major = 5, .minor = 2, .access = "rwm"},     // ptmx
        {.allow = true, .type = "c", .major = 136, .minor = {}, .access = "rwm"}}; // pts
    return rules;
}

Result<oci::RuntimeConfig> default_config(const DefaultsInput& input) {
    oci::RuntimeConfig config;
    const std::vector<std::string>& capabilities =
        input.privileged ? all_capabilities() : default_capabilities();
    config.process.emplace();
    config.process->capabilities = capability_sets(capabilities);
    config.root = {.path = input.root_path, .readonly = input.root_readonly};
    config.hostname = input.hostname;
    config.mounts = default_mounts(input);
    config.linux_.namespaces = {
        {"mount", ""}, {"network", ""}, {"uts", ""}, {"pid", ""}, {"ipc", ""}, {"cgroup", ""}};
    config.linux_.cgroups_path = input.cgroups_path;
    config.linux_.resources.emplace();
    if (input.privileged) {
        config.linux_.resources->devices = {{.allow = true, .type = "a", .access = "rwm"}};
        return config;
    }
    config.linux_.resources->devices = default_device_rules();
    config.linux_.masked_paths = default_masked_paths();
    config.linux_.readonly_paths = default_readonly_paths();
    if (input.seccomp) {
        config.linux_.seccomp = TRY(default_seccomp(capabilities));
    }
    return config;
}

} // namespace berth::runtime
