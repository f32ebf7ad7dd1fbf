// SPDX-License-Identifier: Apache-2.0
// Docker's flag grammar (Go's pflag): --name value, --name=value, -it, -p80:80, --rm=false, "--"
// ends flags. A command declares its flags with where they are stored; parse() fills them and
// returns the arguments.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

class Flags {
  public:
    // Whether flags may stand behind the first argument: not for `run IMAGE COMMAND -flag…`.
    enum class Interspersed : bool { No, Yes };

    explicit Flags(Interspersed interspersed = Interspersed::Yes)
        : interspersed_(interspersed) {}

    // `shorthand` is one letter, or 0. The targets outlive parse().
    void boolean(std::string_view name, char shorthand, bool& target, std::string_view help);
    void text(std::string_view name, char shorthand, std::string& target, std::string_view help);
    void optional_text(
        std::string_view name,
        char shorthand,
        std::optional<std::string>& target,
        std::string_view help);
    void number(
        std::string_view name,
        char shorthand,
        std::optional<std::int64_t>& target,
        std::string_view help);
    // Each use appends.
    void list(
        std::string_view name,
        char shorthand,
        std::vector<std::string>& target,
        std::string_view help);
    // A value that `parse` checks; its error's message is shown behind the flag's name.
    void checked(
        std::string_view name,
        char shorthand,
        std::string_view type,
        std::function<Result<void>(std::string_view)> parse,
        std::string_view help);

    // Docker's words: "unknown flag: --foo", "flag needs an argument: --name",
    // "unknown shorthand flag: 'x' in -x". `--help` and `-h` (where free) set help_requested().
    Result<std::vector<std::string>> parse(const std::vector<std::string>& arguments);

    bool help_requested() const { return help_requested_; }

    // True when the flag stood on the command line.
    bool given(std::string_view name) const;

    // The "Options:" block, sorted by name as Docker prints it.
    std::string help() const;

  private:
    struct Flag {
        std::string name;
        char shorthand;
        std::string type; // shown in the help; empty for booleans
        std::string help;
        std::function<Result<void>(std::string_view)> set;
        bool given = false;
    };

    void
    add(std::string_view name,
        char shorthand,
        std::string_view type,
        std::string_view help,
        std::function<Result<void>(std::string_view)> set);
    Flag* find(std::string_view name);
    Flag* find_shorthand(char letter);
    Result<void> set(Flag& flag, std::string_view value, std::string_view as_written);
    Result<void> parse_long(
        std::string_view argument, const std::vector<std::string>& arguments, std::size_t& index);
    Result<void> parse_short(
        std::string_view argument, const std::vector<std::string>& arguments, std::size_t& index);

    std::vector<Flag> flags_;
    Interspersed interspersed_;
    bool help_requested_ = false;
};

} // namespace berth::cli
