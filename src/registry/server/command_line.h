// SPDX-License-Identifier: Apache-2.0
// berth-registry's arguments.
#pragma once

#include "base/result.h"
#include "registry/server/options.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

enum class RegistryCommand : std::uint8_t { Help, Serve, Collect, Check };

struct RegistryArguments {
    RegistryCommand command = RegistryCommand::Help;
    Options options;
    std::string address_file;
    bool repair = false; // of check
    bool debug = false;
};

// What --config names is read first, wherever it stands: flags count more.
Result<RegistryArguments> parse_registry_arguments(const std::vector<std::string>& arguments);

extern const std::string_view registry_usage;

} // namespace berth::registry
