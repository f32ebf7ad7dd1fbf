// SPDX-License-Identifier: Apache-2.0
// The table of berthd's options: one row serves the flag and the daemon.json key.
#pragma once

#include "engine/daemon_config.h"

#include <span>
#include <string_view>

namespace berth::engine {

enum class OptionShape : std::uint8_t { Switch, Number, Text, List, Pairs };

struct DaemonOption {
    std::string_view flag;
    char shorthand; // 0: none
    std::string_view key;
    OptionShape shape;
    std::string_view help;
    Result<void> (*apply)(DaemonConfig& config, const DaemonOption& option, std::string_view value);
};

std::span<const DaemonOption> daemon_options();
const DaemonOption* find_option_by_flag(std::string_view flag);
const DaemonOption* find_option_by_shorthand(char shorthand);
const DaemonOption* find_option_by_key(std::string_view key);

// Go's strconv.ParseBool.
Result<bool> parse_go_bool(std::string_view text);

// What was given on the command line, for the conflicts with the file: option -> values.
using GivenOptions = std::map<const DaemonOption*, std::vector<std::string>>;

// Applies the keys of a daemon.json text. Errors have no "unable to configure …" before them.
Result<void>
apply_daemon_json(DaemonConfig& config, std::string_view text, const GivenOptions& given);

} // namespace berth::engine
