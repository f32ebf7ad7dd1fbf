// SPDX-License-Identifier: Apache-2.0
// What `exec` shall run: --process FILE, or the container's own process with changes by flags.
#pragma once

#include "oci/runtime_process.h"
#include "runtime/command_line/flags.h"
#include "runtime/container.h"

#include <map>

namespace berth::runtime::command_line {

Result<oci::Process> exec_process(const Container& container, const Flags& flags);

// The same over a given process.
Result<oci::Process> changed_process(oci::Process process, const Flags& flags);

// "1000" or "1000:100" over `user`: numbers only. CVE-2026-30892: "1" is uid 1 and never anything
// else.
Result<oci::User> parse_numeric_user(std::string_view text, oci::User user = {});

// --cgroup: "path", or "controller,…:path" several times. "" stands for all controllers.
Result<std::map<std::string, std::string>>
parse_sub_cgroups(const std::vector<std::string>& values);

} // namespace berth::runtime::command_line
