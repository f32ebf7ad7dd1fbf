// SPDX-License-Identifier: Apache-2.0
// Every command with its flags and what it takes: dispatching, help and the manual page's check
// read this table.
#pragma once

#include "runtime/command_line/commands.h"

#include <cstddef>
#include <span>
#include <string>

namespace berth::runtime::command_line {

inline constexpr std::size_t any_number = ~std::size_t{0};

struct Command {
    std::string_view name;
    Result<int> (*run)(const Globals&, const Flags&);
    std::string_view arguments; // as help shows them
    std::string_view summary;
    std::size_t min_arguments = 1;
    std::size_t max_arguments = 1;
    std::span<const FlagSpec> flags = {};
    FlagOrder order = FlagOrder::Anywhere;
};

std::span<const Command> commands();
const Command* find_command(std::string_view name);
std::span<const FlagSpec> global_flags();

std::string program_help();
std::string command_help(const Command& command);

// runc's words for too many or too few arguments.
Result<void> check_arguments(const Command& command, const Flags& flags);

} // namespace berth::runtime::command_line
