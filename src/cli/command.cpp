// SPDX-License-Identifier: Apache-2.0
// Argument checks and usage messages, worded as docker words them.
#include "cli/command.h"

#include "cli/spelling.h"

#include <cstdio>

namespace berth::cli {

namespace {

std::string usage_line(const Command& command) {
    return "Usage:  berth " + std::string(command.path) + " " + std::string(command.usage) + "\n";
}

std::string aliases(const Command& command) {
    const std::vector<std::string_view> names = spellings(command);
    if (names.size() < 2) {
        return "";
    }
    std::string text;
    for (const std::string_view name : names) {
        text += (text.empty() ? "\nAliases:\n  berth " : ", berth ") + std::string(name);
    }
    return text + "\n";
}

std::string see_help(const Command& command) {
    return "\nRun 'berth " + std::string(command.path) + " --help' for more information\n";
}

std::string arity_message(const Command& command, Arity arity, std::size_t count) {
    auto arguments = [](std::size_t number) {
        return std::to_string(number) + (number == 1 ? " argument" : " arguments");
    };
    std::string text = "berth: 'berth " + std::string(command.path) + "' ";
    if (arity.most == 0) {
        return text + "accepts no arguments\n";
    }
    if (arity.least == arity.most) {
        return text + "requires " + arguments(arity.least) + "\n";
    }
    if (count < arity.least) {
        return text + "requires at least " + arguments(arity.least) + "\n";
    }
    return text + "requires at most " + arguments(arity.most) + "\n";
}

} // namespace

Parsed parse_arguments(Flags& flags, const Invocation& invocation, Arity arity) {
    const Command& command = invocation.command;
    Result<std::vector<std::string>> arguments = flags.parse(invocation.arguments);
    if (!arguments.ok()) {
        std::string text = "berth: " + arguments.error().message() + "\n\n" + usage_line(command) +
                           see_help(command);
        std::fputs(text.c_str(), stderr);
        return {{}, true, usage_error_code};
    }
    if (flags.help_requested()) {
        std::string options = flags.help();
        std::string text =
            usage_line(command) + "\n" + std::string(command.summary) + "\n" + aliases(command);
        if (!options.empty()) {
            text += "\nOptions:\n" + options;
        }
        std::fputs(text.c_str(), stdout);
        return {{}, true, 0};
    }
    if (arguments->size() < arity.least || arguments->size() > arity.most) {
        std::string text = arity_message(command, arity, arguments->size()) + "\n" +
                           usage_line(command) + see_help(command);
        std::fputs(text.c_str(), stderr);
        return {{}, true, 1};
    }
    return {std::move(*arguments), false, 0};
}

} // namespace berth::cli
