// SPDX-License-Identifier: Apache-2.0
// https://docs.kernel.org/admin-guide/LSM: attr/exec is the label of the next program,
// attr/keycreate that of keys; execve(2) forgets both.
#include "runtime/security_labels.h"

#include "base/file.h"

#include <cerrno>

namespace berth::runtime {

namespace {

bool has_apparmor() {
    return read_file("/sys/module/apparmor/parameters/enabled", 16).value_or("").starts_with("Y");
}

bool has_selinux() {
    return exists("/sys/fs/selinux/enforce");
}

Error lacks(const std::string& member, const std::string& label, const std::string& what) {
    return Error(
        ErrorKind::Unavailable,
        member + ": \"" + label + "\" cannot be used: " + what + " is not enabled in this kernel");
}

} // namespace

Result<void> check_security_labels(const oci::Process& process, const std::string& mount_label) {
    if (!process.apparmor_profile.empty() && !has_apparmor()) {
        return lacks("process.apparmorProfile", process.apparmor_profile, "AppArmor");
    }
    if (!process.selinux_label.empty() && !has_selinux()) {
        return lacks("process.selinuxLabel", process.selinux_label, "SELinux");
    }
    if (!mount_label.empty() && !has_selinux()) {
        return lacks("linux.mountLabel", mount_label, "SELinux");
    }
    return ok();
}

Result<void> set_security_labels(const oci::Process& process, const kernel::Procfs& procfs) {
    const std::string& profile = process.apparmor_profile;
    if (!profile.empty()) {
        const std::string text = "exec " + profile;
        // The first name is AppArmor's own, where several modules are stacked.
        if (!procfs.write("self/attr/apparmor/exec", text).ok()) {
            Result<void> set = procfs.write("self/attr/exec", text);
            if (!set.ok() && set.error().error_number() == ENOENT) {
                return not_found("AppArmor profile " + profile + " is not loaded");
            }
            TRY_CONTEXT(std::move(set), "AppArmor profile " + profile);
        }
    }
    if (!process.selinux_label.empty()) {
        // The program would be denied a keyring that has the label of who made it.
        for (const char* attribute : {"self/attr/exec", "self/attr/keycreate"}) {
            TRY_CONTEXT(
                procfs.write(attribute, process.selinux_label),
                "SELinux label " + process.selinux_label);
        }
    }
    return ok();
}

} // namespace berth::runtime
