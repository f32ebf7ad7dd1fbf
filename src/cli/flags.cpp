// SPDX-License-Identifier: Apache-2.0
// pflag's grammar and error texts, which scripts around docker know.
#include "cli/flags.h"

#include "base/boolean.h"
#include "base/strings.h"

#include <algorithm>

namespace berth::cli {

namespace {

Result<bool> parse_bool(std::string_view value) {
    if (const auto parsed = parse_boolean(value)) {
        return *parsed;
    }
    return invalid_argument(
        "strconv.ParseBool: parsing \"" + std::string(value) + "\": invalid syntax");
}

} // namespace

void Flags::add(
    std::string_view name,
    char shorthand,
    std::string_view type,
    std::string_view help,
    std::function<Result<void>(std::string_view)> set) {
    flags_.push_back(
        {std::string(name), shorthand, std::string(type), std::string(help), std::move(set)});
}

void Flags::boolean(std::string_view name, char shorthand, bool& target, std::string_view help) {
    add(name, shorthand, "", help, [&target](std::string_view value) -> Result<void> {
        target = TRY(parse_bool(value));
        return ok();
    });
}

void Flags::text(
    std::string_view name, char shorthand, std::string& target, std::string_view help) {
    add(name, shorthand, "string", help, [&target](std::string_view value) {
        target = value;
        return ok();
    });
}

void Flags::optional_text(
    std::string_view name,
    char shorthand,
    std::optional<std::string>& target,
    std::string_view help) {
    add(name, shorthand, "string", help, [&target](std::string_view value) {
        target = std::string(value);
        return ok();
    });
}

void Flags::number(
    std::string_view name,
    char shorthand,
    std::optional<std::int64_t>& target,
    std::string_view help) {
    add(name, shorthand, "int", help, [&target](std::string_view value) -> Result<void> {
        Result<std::int64_t> number = parse_number<std::int64_t>(value);
        if (!number.ok()) {
            return invalid_argument(
                "strconv.ParseInt: parsing \"" + std::string(value) + "\": invalid syntax");
        }
        target = *number;
        return ok();
    });
}

void Flags::list(
    std::string_view name,
    char shorthand,
    std::vector<std::string>& target,
    std::string_view help) {
    add(name, shorthand, "list", help, [&target](std::string_view value) {
        target.emplace_back(value);
        return ok();
    });
}

void Flags::checked(
    std::string_view name,
    char shorthand,
    std::string_view type,
    std::function<Result<void>(std::string_view)> parse,
    std::string_view help) {
    add(name, shorthand, type, help, std::move(parse));
}

Flags::Flag* Flags::find(std::string_view name) {
    auto found = std::find_if(
        flags_.begin(), flags_.end(), [&](const Flag& flag) { return flag.name == name; });
    return found == flags_.end() ? nullptr : &*found;
}

Flags::Flag* Flags::find_shorthand(char letter) {
    auto found = std::find_if(
        flags_.begin(), flags_.end(), [&](const Flag& flag) { return flag.shorthand == letter; });
    return found == flags_.end() || letter == 0 ? nullptr : &*found;
}

Result<void> Flags::set(Flag& flag, std::string_view value, std::string_view as_written) {
    flag.given = true;
    Result<void> done = flag.set(value);
    if (!done.ok()) {
        return invalid_argument(
            "invalid argument \"" + std::string(value) + "\" for \"" + std::string(as_written) +
            "\" flag: " + done.error().message());
    }
    return ok();
}

Result<void> Flags::parse_long(
    std::string_view argument, const std::vector<std::string>& arguments, std::size_t& index) {
    std::string_view body = argument.substr(2);
    std::optional<Cut> parts = cut(body, "=");
    std::string name(parts ? parts->before : body);
    Flag* flag = find(name);
    if (!flag) {
        if (name == "help") {
            help_requested_ = true;
            return ok();
        }
        return invalid_argument("unknown flag: --" + name);
    }
    std::string written =
        flag->shorthand ? std::string("-") + flag->shorthand + ", --" + name : "--" + name;
    if (parts) {
        return set(*flag, parts->after, written);
    }
    if (flag->type.empty()) {
        return set(*flag, "true", written);
    }
    if (index + 1 >= arguments.size()) {
        return invalid_argument("flag needs an argument: --" + name);
    }
    return set(*flag, arguments[++index], written);
}

Result<void> Flags::parse_short(
    std::string_view argument, const std::vector<std::string>& arguments, std::size_t& index) {
    for (std::size_t i = 1; i < argument.size(); ++i) {
        char letter = argument[i];
        Flag* flag = find_shorthand(letter);
        if (!flag) {
            if (letter == 'h') {
                help_requested_ = true;
                return ok();
            }
            return invalid_argument(
                std::string("unknown shorthand flag: '") + letter + "' in " +
                std::string(argument));
        }
        std::string written = std::string("-") + letter + ", --" + flag->name;
        std::string_view rest = argument.substr(i + 1);
        if (flag->type.empty()) {
            if (rest.starts_with('=')) {
                return set(*flag, rest.substr(1), written);
            }
            TRY(set(*flag, "true", written));
            continue;
        }
        if (!rest.empty()) {
            return set(*flag, rest.starts_with('=') ? rest.substr(1) : rest, written);
        }
        if (index + 1 >= arguments.size()) {
            return invalid_argument(
                std::string("flag needs an argument: '") + letter + "' in " +
                std::string(argument));
        }
        return set(*flag, arguments[++index], written);
    }
    return ok();
}

Result<std::vector<std::string>> Flags::parse(const std::vector<std::string>& arguments) {
    std::vector<std::string> positional;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& argument = arguments[i];
        bool flag = argument.size() > 1 && argument[0] == '-';
        if (argument == "--" || (!flag && interspersed_ == Interspersed::No)) {
            auto rest = arguments.begin() + static_cast<std::ptrdiff_t>(i + (argument == "--"));
            positional.insert(positional.end(), rest, arguments.end());
            break;
        }
        if (!flag) {
            positional.push_back(argument);
        } else if (argument.starts_with("--")) {
            TRY(parse_long(argument, arguments, i));
        } else {
            TRY(parse_short(argument, arguments, i));
        }
    }
    return positional;
}

bool Flags::given(std::string_view name) const {
    return std::any_of(flags_.begin(), flags_.end(), [&](const Flag& flag) {
        return flag.name == name && flag.given;
    });
}

std::string Flags::help() const {
    std::vector<const Flag*> sorted;
    std::size_t width = 0;
    auto left = [](const Flag& flag) {
        std::string text =
            flag.shorthand ? std::string("  -") + flag.shorthand + ", --" : "      --";
        text += flag.name;
        return flag.type.empty() ? text : text + " " + flag.type;
    };
    for (const Flag& flag : flags_) {
        sorted.push_back(&flag);
        width = std::max(width, left(flag).size());
    }
    std::sort(sorted.begin(), sorted.end(), [](const Flag* a, const Flag* b) {
        return a->name < b->name;
    });
    std::string text;
    for (const Flag* flag : sorted) {
        std::string line = left(*flag);
        line.resize(width + 3, ' ');
        text += line + flag->help + "\n";
    }
    return text;
}

} // namespace berth::cli
