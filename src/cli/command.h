// SPDX-License-Identifier: Apache-2.0
// What a subcommand is: its words, its help, its function. Commands are plain functions in
// commands/*.cpp; the table in command_table.cpp is the only list of them.
#pragma once

#include "base/result.h"
#include "cli/flags.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

class Session;

struct Command;

// One use of a command: its words, its table entry and what stood behind it.
struct Invocation {
    const Command& command;
    std::vector<std::string> arguments;
};

inline constexpr int usage_error_code = 125;

// Returns the exit code; an Error is printed as "berth: …" and exits with 1, a UsageError's with
// 125.
using CommandFunction = Result<int> (*)(Session& session, const Invocation& invocation);

struct Command {
    std::string_view path;    // "run", "image ls"
    std::string_view usage;   // "[OPTIONS] IMAGE [COMMAND] [ARG...]"
    std::string_view summary; // one line of the help
    CommandFunction run;
    bool listed = true; // among the common commands of `berth --help`
};

std::span<const Command> all_commands();

// How many arguments a command takes.
struct Arity {
    static constexpr std::size_t any = ~std::size_t{0};
    std::size_t least = 0;
    std::size_t most = any;
};

// What parse_arguments found: either arguments to go on with, or an exit code because help or a
// usage message has been printed.
struct Parsed {
    std::vector<std::string> arguments;
    bool finished = false;
    int exit_code = 0;
};

Parsed parse_arguments(Flags& flags, const Invocation& invocation, Arity arity);

} // namespace berth::cli

// Parses into `name`, or returns the exit code from the command.
#define BERTH_PARSE_ARGUMENTS(name, flags, invocation, ...)                                        \
    ::berth::cli::Parsed name##_parsed =                                                           \
        ::berth::cli::parse_arguments(flags, invocation, ::berth::cli::Arity{__VA_ARGS__});        \
    if (name##_parsed.finished)                                                                    \
        return name##_parsed.exit_code;                                                            \
    [[maybe_unused]] std::vector<std::string>& name = name##_parsed.arguments
