// SPDX-License-Identifier: Apache-2.0
// What the profile allows is what moby's profiles/apparmor allows: everything but writing to the
// kernel's knobs, mounting, and looking into processes that are not in the profile.
#include "engine/apparmor.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "kernel/process.h"

#include <array>

namespace berth::engine {
namespace {

constexpr const char* loaded_profiles = "/sys/kernel/security/apparmor/profiles";
constexpr const char* abstractions = "/etc/apparmor.d/abstractions/base";
constexpr const char* tunables = "/etc/apparmor.d/tunables/global";
constexpr std::size_t max_profile_list = 4U << 20;

std::string profile_text() {
    const std::string name = default_apparmor_profile;
    const bool has_tunables = exists(tunables);
    std::string text = has_tunables ? "#include <tunables/global>\n" : "@{PROC}=/proc/\n";
    text += "profile " + name + " flags=(attach_disconnected,mediate_deleted) {\n";
    if (exists(abstractions)) {
        text += "  #include <abstractions/base>\n";
    }
    // Writable in /proc are a process's own files and, of the settings, the IPC namespace's.
    text += "  network,\n"
            "  capability,\n"
            "  file,\n"
            "  umount,\n"
            "  signal (receive) peer=unconfined,\n"
            "  signal (receive) peer=runc,\n"
            "  signal (receive) peer=crun,\n"
            "  signal (send,receive) peer=" +
            name +
            ",\n"
            "  ptrace (trace,read,tracedby,readby) peer=" +
            name +
            ",\n"
            "  deny @{PROC}/* w,\n"
            "  deny @{PROC}/{[^1-9/],[^1-9/][^0-9/],[^1-9s/][^0-9y/][^0-9s/],"
            "[^1-9/][^0-9/][^0-9/][^0-9/]*}/** w,\n"
            "  deny @{PROC}/sys/[^k]** w,\n"
            "  deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,\n"
            "  deny @{PROC}/sysrq-trigger rwklx,\n"
            "  deny @{PROC}/kcore rwklx,\n"
            "  deny mount,\n"
            "  deny /sys/[^f]*/** wklx,\n"
            "  deny /sys/f[^s]*/** wklx,\n"
            "  deny /sys/fs/[^c]*/** wklx,\n"
            "  deny /sys/fs/c[^g]*/** wklx,\n"
            "  deny /sys/fs/cg[^r]*/** wklx,\n"
            "  deny /sys/firmware/** rwklx,\n"
            "  deny /sys/devices/virtual/powercap/** rwklx,\n"
            "  deny /sys/kernel/security/** rwklx,\n"
            "}\n";
    return text;
}

bool is_loaded() {
    const std::string text = read_file(loaded_profiles, max_profile_list).value_or("");
    const std::string wanted = std::string(default_apparmor_profile) + " (";
    for (std::string_view line : split(text, '\n')) {
        if (line.starts_with(wanted)) {
            return true;
        }
    }
    return false;
}

Result<void> load() {
    TemporaryDirectory folder = TRY(TemporaryDirectory::create("/tmp"));
    const std::string path = folder.path() + "/" + default_apparmor_profile;
    TRY(replace_file(path, profile_text(), 0600, Sync::No));
    // -K: no cache of the compiled profile; -r: also over one of that name.
    kernel::Child parser = TRY(kernel::spawn(
        {.arguments = {"apparmor_parser", "-Kr", path},
         .environment = std::vector<std::string>{"PATH=/usr/sbin:/sbin:/usr/bin:/bin"}}));
    const int code = TRY(parser.wait()).shell_code();
    if (code != 0 || !is_loaded()) {
        return Error(
            ErrorKind::Unavailable, "apparmor_parser ended with status " + std::to_string(code));
    }
    return ok();
}

} // namespace

bool has_apparmor() {
    return read_file("/sys/module/apparmor/parameters/enabled", 16).value_or("").starts_with("Y") &&
           exists(loaded_profiles);
}

void load_default_apparmor_profile() {
    if (!has_apparmor() || is_loaded()) {
        return;
    }
    Result<void> loaded = load();
    if (!loaded.ok()) {
        log::warn(
            "the AppArmor profile docker-default cannot be loaded, containers run without one, "
            "ignoring",
            {{"error", loaded.error().message()}});
    }
}

std::string apparmor_profile(const HostConfig& host, const SecurityOptions& security) {
    if (!has_apparmor()) {
        return security.apparmor == "unconfined" ? "" : security.apparmor;
    }
    if (!security.apparmor.empty()) {
        return security.apparmor;
    }
    if (host.privileged) {
        return "unconfined";
    }
    return is_loaded() ? default_apparmor_profile : "";
}

} // namespace berth::engine
