// SPDX-License-Identifier: Apache-2.0
// Docker's default container: mounts, capabilities, devices, masked paths, seccomp. The one place
// that the engine and the builder take them from.
#pragma once

#include "base/result.h"
#include "oci/runtime_config.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime {

// CAP_CHOWN … CAP_AUDIT_WRITE: Docker's fourteen.
const std::vector<std::string>& default_capabilities();

// Every capability that the kernel knows.
const std::vector<std::string>& all_capabilities();

// Docker's --cap-add and --cap-drop rules: "ALL", names with or without CAP_, any case.
// InvalidArgument for an unknown one: `invalid CapAdd: unknown capability: "CAP_X"`.
Result<std::vector<std::string>> adjust_capabilities(
    const std::vector<std::string>& add, const std::vector<std::string>& drop, bool privileged);

struct DefaultsInput {
    bool privileged = false;
    bool cgroup_namespace = true;
    std::int64_t shm_bytes = 64 << 20;
    std::vector<std::string> capabilities = default_capabilities();
    // "" takes the built-in profile, "unconfined" none, anything else is a profile in Docker's JSON
    // format.
    std::string seccomp_profile;
};

// process.args, root and cgroups_path are left to the caller; no network namespace path is set.
Result<oci::RuntimeConfig> default_config(const DefaultsInput& input);

// A profile in Docker's format (includes, excludes, archMap) for these capabilities on this
// machine.
Result<oci::RuntimeSeccomp>
resolve_seccomp_profile(std::string_view json, const std::vector<std::string>& capabilities);

// The built-in profile's text.
std::string_view default_seccomp_profile();

} // namespace berth::runtime
