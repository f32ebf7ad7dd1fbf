// SPDX-License-Identifier: Apache-2.0
// What a Linux container gets when nobody says otherwise: Docker's mounts, capabilities, masked and
// read-only paths, device rules, namespaces and seccomp profile. Engine and build start from here.
#pragma once

#include "base/result.h"
#include "oci/runtime_config.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime {

struct DefaultsInput {
    std::string root_path; // absolute, or relative to the bundle
    bool root_readonly = false;
    std::string hostname;             // empty: none is set
    std::string cgroups_path;         // "/docker/<id>"
    std::int64_t shm_size = 64 << 20; // 0: no /dev/shm mount (the caller binds one)
    // Docker's --privileged: all capabilities, no masks, no seccomp, sysfs and cgroup writable,
    // every device allowed. Host devices are the caller's to add.
    bool privileged = false;
    // Nothing shared with the host. The caller replaces entries of linux_.namespaces by path or
    // removes them for host modes.
    bool seccomp = true;
};

// process.args is empty; process.user is root; PATH is not set.
Result<oci::RuntimeConfig> default_config(const DefaultsInput& input);

// Docker's 14, as "CAP_CHOWN".
const std::vector<std::string>& default_capabilities();

// Every capability of this kernel.
const std::vector<std::string>& all_capabilities();

// Docker's --cap-add and --cap-drop ("ALL", "NET_ADMIN", "cap_net_admin") over a base list;
// InvalidArgument in Docker's words.
Result<std::vector<std::string>> adjust_capabilities(
    const std::vector<std::string>& base,
    const std::vector<std::string>& add,
    const std::vector<std::string>& drop,
    bool privileged = false);

// All five sets as Docker gives them: bounding, effective, permitted = names; inheritable and
// ambient empty.
oci::Capabilities capability_sets(const std::vector<std::string>& names);

const std::vector<std::string>& default_masked_paths();
const std::vector<std::string>& default_readonly_paths();

// The device rules of every container: deny all, then mknod of any, null zero full random urandom
// tty console ptmx pts.
const std::vector<oci::DeviceRule>& default_device_rules();

// The built-in profile, resolved for a process with these capabilities on this kernel and machine.
// clone3 is ENOSYS without CAP_SYS_ADMIN; AF_ALG and AF_VSOCK sockets are refused.
Result<oci::Seccomp> default_seccomp(std::span<const std::string> capabilities);

// A profile in Docker's own format (--security-opt seccomp=file.json), resolved likewise.
Result<oci::Seccomp>
resolve_seccomp(std::string_view profile, std::span<const std::string> capabilities);

} // namespace berth::runtime
