// SPDX-License-Identifier: Apache-2.0
// The AppArmor profile that containers run in unless they ask for another: Docker's docker-default.
#pragma once

#include "engine/config_check.h"
#include "engine/container_config.h"

#include <string>

namespace berth::engine {

inline constexpr const char* default_apparmor_profile = "docker-default";

// Whether the kernel uses AppArmor.
bool has_apparmor();

// Loads docker-default where AppArmor is and it is not loaded yet. Without apparmor_parser, the
// compiler of profiles, the log says that containers run unconfined.
void load_default_apparmor_profile();

// Of a container: "" where the kernel has no AppArmor or the default profile could not be loaded.
std::string apparmor_profile(const HostConfig& host, const SecurityOptions& security);

} // namespace berth::engine
