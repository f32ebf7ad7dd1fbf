// SPDX-License-Identifier: Apache-2.0
// Parsing of one command's flags. urfave/cli, which runc uses, moves known flags before the
// arguments and leaves everything else (a signal "-9") where it is.
#include "runtime/command_line/flags.h"

#include "base/boolean.h"
#include "base/strings.h"

#include <algorithm>

namespace berth::runtime::command_line {

namespace {

struct Word {
    std::string_view name;
    std::optional<std::string_view> value;
};

std::optional<Word> flag_word(std::string_view argument) {
    if (argument.size() < 2 || argument[0] != '-' || argument == "--") {
        return std::nullopt;
    }
    std::string_view name = argument.substr(argument.starts_with("--") ? 2 : 1);
    if (std::optional<Cut> assigned = cut(name, "=")) {
        return Word{assigned->before, assigned->after};
    }
    return Word{name, std::nullopt};
}

const FlagSpec* find(std::span<const FlagSpec> specs, std::string_view name) {
    auto found = std::find_if(specs.begin(), specs.end(), [name](const FlagSpec& spec) {
        return spec.name == name || (!spec.short_name.empty() && spec.short_name == name);
    });
    return found == specs.end() ? nullptr : &*found;
}

Result<std::string> switch_value(std::string_view name, std::string_view text) {
    if (const auto wanted = parse_boolean(text)) {
        return std::string(*wanted ? "true" : "false");
    }
    return invalid_argument(
        "invalid boolean value \"" + std::string(text) + "\" for -" + std::string(name) +
        ": parse error");
}

Result<std::string> checked(const FlagSpec& spec, std::string_view text) {
    switch (spec.kind) {
    case FlagKind::Switch:
        return switch_value(spec.name, text);
    case FlagKind::Value:
        break;
    case FlagKind::Number:
        if (!parse_number<int>(text).ok()) {
            return invalid_argument(
                "invalid value \"" + std::string(text) + "\" for flag -" + std::string(spec.name) +
                ": parse error");
        }
    }
    return std::string(text);
}

} // namespace

// True when the argument at `position` was a flag; `position` is then behind it and its value.
Result<bool> Flags::take(
    const std::vector<std::string>& arguments,
    std::size_t& position,
    std::span<const FlagSpec> specs,
    FlagOrder order) {
    const std::string& argument = arguments[position];
    std::optional<Word> word = flag_word(argument);
    if (!word) {
        return false;
    }
    const FlagSpec* spec = find(specs, word->name);
    if (spec == nullptr) {
        // Behind the first argument an unknown one is an argument.
        if (order == FlagOrder::Anywhere && !rest_.empty()) {
            return false;
        }
        return invalid_argument("flag provided but not defined: -" + std::string(word->name));
    }
    ++position;
    std::string_view text = "true";
    if (word->value) {
        text = *word->value;
    } else if (spec->kind != FlagKind::Switch) {
        if (position == arguments.size()) {
            return invalid_argument("flag needs an argument: -" + std::string(word->name));
        }
        text = arguments[position++];
    }
    values_[std::string(spec->name)].push_back(TRY(checked(*spec, text)));
    return true;
}

Result<Flags> Flags::parse(
    const std::vector<std::string>& arguments, std::span<const FlagSpec> specs, FlagOrder order) {
    Flags flags;
    std::size_t i = 0;
    while (i < arguments.size()) {
        if (arguments[i] == "--") {
            ++i;
            break;
        }
        if (TRY(flags.take(arguments, i, specs, order))) {
            continue;
        }
        if (order == FlagOrder::First) {
            break;
        }
        flags.rest_.push_back(arguments[i++]);
    }
    flags.rest_.insert(
        flags.rest_.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
    return flags;
}

bool Flags::is_set(std::string_view name) const {
    auto found = values_.find(name);
    return found != values_.end() && found->second.back() != "false";
}

bool Flags::is_given(std::string_view name) const {
    return values_.find(name) != values_.end();
}

std::string Flags::value(std::string_view name) const {
    auto found = values_.find(name);
    return found == values_.end() ? std::string() : found->second.back();
}

std::vector<std::string> Flags::values(std::string_view name) const {
    auto found = values_.find(name);
    return found == values_.end() ? std::vector<std::string>() : found->second;
}

int Flags::number(std::string_view name, int otherwise) const {
    return parse_number<int>(value(name)).value_or(otherwise);
}

Result<std::string> Flags::container_id() const {
    if (rest_.empty() || rest_[0].empty()) {
        return invalid_argument("container id cannot be empty");
    }
    return rest_[0];
}

} // namespace berth::runtime::command_line
