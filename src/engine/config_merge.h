// SPDX-License-Identifier: Apache-2.0
// From what the user asked for and what the image says to what the container gets.
#pragma once

#include "base/result.h"
#include "engine/container_config.h"
#include "engine/daemon_config.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

// What the user left open comes from the image; lists are joined as Docker joins them.
void merge_image_config(ContainerConfig& user, const ContainerConfig& image);

// InvalidArgument "no command specified" when nothing would run.
Result<void> check_command(ContainerConfig& config);

struct CommandLine {
    std::string path;
    std::vector<std::string> arguments;
};

// REQUIRES: check_command() passed.
CommandLine command_line(const ContainerConfig& config);

// The process's environment: PATH, HOSTNAME and TERM, then the configuration's, whose values win; a
// name without '=' takes a default away.
std::vector<std::string> container_environment(const ContainerConfig& config);

// env with overrides: a later NAME=value replaces an earlier one in its place.
std::vector<std::string>
replace_or_append(std::vector<std::string> env, const std::vector<std::string>& overrides);

} // namespace berth::engine
