// SPDX-License-Identifier: Apache-2.0
// Each instruction's own form, checked as
// https://github.com/moby/buildkit/blob/master/frontend/dockerfile/instructions/parse.go does.
#include "build/dockerfile.h"

#include "base/strings.h"
#include "base/utf8.h"
#include "build/dockerfile_lines.h"
#include "build/suggestion.h"

#include <algorithm>
#include <array>

namespace berth::build {

namespace {

enum class FlagKind : std::uint8_t { Text, Switch, Repeated };

struct FlagRule {
    Keyword keyword;
    std::string_view name;
    FlagKind kind;
};

constexpr std::array flag_rules{
    FlagRule{Keyword::Add, "chown", FlagKind::Text},
    FlagRule{Keyword::Add, "chmod", FlagKind::Text},
    FlagRule{Keyword::Add, "link", FlagKind::Switch},
    FlagRule{Keyword::Add, "keep-git-dir", FlagKind::Switch},
    FlagRule{Keyword::Add, "checksum", FlagKind::Text},
    FlagRule{Keyword::Add, "exclude", FlagKind::Repeated},
    FlagRule{Keyword::Copy, "chown", FlagKind::Text},
    FlagRule{Keyword::Copy, "chmod", FlagKind::Text},
    FlagRule{Keyword::Copy, "from", FlagKind::Text},
    FlagRule{Keyword::Copy, "link", FlagKind::Switch},
    FlagRule{Keyword::Copy, "parents", FlagKind::Switch},
    FlagRule{Keyword::Copy, "exclude", FlagKind::Repeated},
    FlagRule{Keyword::From, "platform", FlagKind::Text},
    FlagRule{Keyword::Healthcheck, "interval", FlagKind::Text},
    FlagRule{Keyword::Healthcheck, "timeout", FlagKind::Text},
    FlagRule{Keyword::Healthcheck, "start-period", FlagKind::Text},
    FlagRule{Keyword::Healthcheck, "start-interval", FlagKind::Text},
    FlagRule{Keyword::Healthcheck, "retries", FlagKind::Text},
    FlagRule{Keyword::Run, "mount", FlagKind::Repeated},
    FlagRule{Keyword::Run, "network", FlagKind::Text},
    FlagRule{Keyword::Run, "security", FlagKind::Text},
};

constexpr std::array keywords{
    std::pair{Keyword::Add, std::string_view("ADD")},
    std::pair{Keyword::Arg, std::string_view("ARG")},
    std::pair{Keyword::Cmd, std::string_view("CMD")},
    std::pair{Keyword::Copy, std::string_view("COPY")},
    std::pair{Keyword::Entrypoint, std::string_view("ENTRYPOINT")},
    std::pair{Keyword::Env, std::string_view("ENV")},
    std::pair{Keyword::Expose, std::string_view("EXPOSE")},
    std::pair{Keyword::From, std::string_view("FROM")},
    std::pair{Keyword::Healthcheck, std::string_view("HEALTHCHECK")},
    std::pair{Keyword::Label, std::string_view("LABEL")},
    std::pair{Keyword::Maintainer, std::string_view("MAINTAINER")},
    std::pair{Keyword::OnBuild, std::string_view("ONBUILD")},
    std::pair{Keyword::Run, std::string_view("RUN")},
    std::pair{Keyword::Shell, std::string_view("SHELL")},
    std::pair{Keyword::StopSignal, std::string_view("STOPSIGNAL")},
    std::pair{Keyword::User, std::string_view("USER")},
    std::pair{Keyword::Volume, std::string_view("VOLUME")},
    std::pair{Keyword::Workdir, std::string_view("WORKDIR")},
};

Result<void> set_flags(Instruction& instruction, const std::vector<std::string>& flags) {
    for (const std::string& text : flags) {
        const auto parts = cut(std::string_view(text).substr(2), "=");
        const std::string name(parts ? parts->before : std::string_view(text).substr(2));
        const auto rule =
            std::find_if(flag_rules.begin(), flag_rules.end(), [&](const FlagRule& candidate) {
                return candidate.keyword == instruction.keyword && candidate.name == name;
            });
        if (rule == flag_rules.end()) {
            return invalid_argument("unknown flag: --" + name);
        }
        if (!parts && rule->kind != FlagKind::Switch) {
            return invalid_argument("missing a value on flag: --" + name);
        }
        const std::string value(parts ? parts->after : std::string_view("true"));
        if (rule->kind == FlagKind::Repeated) {
            instruction.repeated_flags.emplace_back(name, value);
            continue;
        }
        if (rule->kind == FlagKind::Switch && value != "true" && value != "false") {
            return invalid_argument("expecting boolean value for flag " + name + ", not: " + value);
        }
        if (!instruction.flags.emplace(name, value).second) {
            return invalid_argument("duplicate flag specified: --" + name);
        }
    }
    return ok();
}

std::string upper_name(const Instruction& instruction) {
    return std::string(to_string(instruction.keyword));
}

Result<void> require_arguments(const Instruction& instruction) {
    if (instruction.arguments.empty()) {
        return invalid_argument(upper_name(instruction) + " requires at least one argument");
    }
    return ok();
}

Result<void> set_text(Instruction& instruction, const std::string& rest) {
    if (rest.empty()) {
        return invalid_argument(upper_name(instruction) + " requires exactly one argument");
    }
    instruction.arguments = {rest};
    return ok();
}

// NAME=value …, or for ENV and LABEL the old "NAME the rest of the line".
Result<void> set_pairs(Instruction& instruction, const std::string& rest, char escape) {
    const std::vector<std::string> parts = quoted_words(rest, escape);
    if (parts.empty()) {
        return invalid_argument(upper_name(instruction) + " requires at least one argument");
    }
    if (parts[0].find('=') == std::string::npos) {
        if (parts.size() < 2) {
            return invalid_argument(upper_name(instruction) + " must have two arguments");
        }
        const std::string_view value = trim(std::string_view(rest).substr(parts[0].size()));
        instruction.assignments.push_back({parts[0], std::string(value)});
        return ok();
    }
    for (const std::string& part : parts) {
        const auto pair = cut(part, "=");
        if (!pair) {
            return invalid_argument(
                "Syntax error - can't find = in \"" + part + "\". Must be of the form: name=value");
        }
        if (pair->before.empty()) {
            return invalid_argument(upper_name(instruction) + " names can not be blank");
        }
        instruction.assignments.push_back({std::string(pair->before), std::string(pair->after)});
    }
    return ok();
}

Result<void> set_args(Instruction& instruction, const std::string& rest, char escape) {
    for (const std::string& part : quoted_words(rest, escape)) {
        const auto pair = cut(part, "=");
        const std::string name(pair ? pair->before : std::string_view(part));
        if (name.empty()) {
            return invalid_argument("ARG names can not be blank");
        }
        Assignment assignment{.name = name};
        if (pair) {
            assignment.value = std::string(pair->after);
        }
        instruction.assignments.push_back(std::move(assignment));
    }
    if (instruction.assignments.empty()) {
        return invalid_argument("ARG requires at least one argument");
    }
    return ok();
}

enum class Otherwise : std::uint8_t { Text, Words };

Result<void>
set_json_or(Instruction& instruction, const std::string& rest, char escape, Otherwise otherwise) {
    if (auto list = TRY(parse_json_form(rest))) {
        instruction.is_json = true;
        instruction.arguments = std::move(*list);
        return ok();
    }
    if (rest.empty()) {
        return ok();
    }
    instruction.arguments =
        otherwise == Otherwise::Words ? quoted_words(rest, escape) : std::vector<std::string>{rest};
    return ok();
}

Result<void> set_health_check(Instruction& instruction, const std::string& rest, char escape) {
    const auto parts = words(rest);
    if (parts.empty()) {
        return invalid_argument("HEALTHCHECK requires at least one argument");
    }
    const std::string type = to_upper(parts[0]);
    const std::string command(trim(std::string_view(rest).substr(parts[0].size())));
    if (type == "NONE") {
        if (!command.empty()) {
            return invalid_argument("HEALTHCHECK NONE takes no arguments");
        }
        instruction.arguments = {type};
        return ok();
    }
    if (type != "CMD") {
        return invalid_argument("Unknown type \"" + type + "\" in HEALTHCHECK (try CMD)");
    }
    TRY(set_json_or(instruction, command, escape, Otherwise::Text));
    if (instruction.arguments.empty()) {
        return invalid_argument("Missing command after HEALTHCHECK CMD");
    }
    instruction.arguments.insert(instruction.arguments.begin(), type);
    return ok();
}

Result<void> set_trigger(Instruction& instruction, const std::string& rest, char escape) {
    if (rest.empty()) {
        return invalid_argument("ONBUILD requires at least one argument");
    }
    const std::string trigger = to_upper(split_command(rest, escape).keyword);
    if (trigger == "ONBUILD") {
        return invalid_argument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    }
    if (trigger == "MAINTAINER" || trigger == "FROM") {
        return invalid_argument(trigger + " isn't allowed as an ONBUILD trigger");
    }
    std::string text = rest;
    for (const Heredoc& heredoc : instruction.heredocs) {
        text += "\n" + heredoc.content + heredoc.name;
    }
    TRY(parse_instruction(text, escape));
    instruction.arguments = {std::move(text)};
    return ok();
}

Result<void> check_copy(const Instruction& instruction) {
    if (instruction.arguments.size() < 2) {
        return invalid_argument(
            upper_name(instruction) +
            " requires at least two arguments, but only one was provided. Destination could not be "
            "determined.");
    }
    if (!instruction.is_json && parse_heredoc_mark(instruction.arguments.back())) {
        return invalid_argument(
            upper_name(instruction) + " cannot accept a heredoc as a destination");
    }
    return ok();
}

Result<void> check_from(const Instruction& instruction) {
    const auto& arguments = instruction.arguments;
    const bool named = arguments.size() == 3 && equals_ignoring_case(arguments[1], "as");
    if (!named && arguments.size() != 1) {
        return invalid_argument("FROM requires either one or three arguments");
    }
    if (!named) {
        return ok();
    }
    const std::string name = to_lower(arguments[2]);
    const auto valid = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    };
    if (name.empty() || name[0] < 'a' || name[0] > 'z' ||
        !std::all_of(name.begin(), name.end(), valid)) {
        return invalid_argument(
            "invalid name for build stage: \"" + arguments[2] +
            "\", name can't start with a number or contain symbols");
    }
    return ok();
}

Result<void> set_arguments(Instruction& instruction, const std::string& rest, char escape) {
    switch (instruction.keyword) {
    case Keyword::Add:
    case Keyword::Copy:
        TRY(set_json_or(instruction, rest, escape, Otherwise::Words));
        return check_copy(instruction);
    case Keyword::Arg:
        return set_args(instruction, rest, escape);
    case Keyword::Env:
    case Keyword::Label:
        return set_pairs(instruction, rest, escape);
    case Keyword::Cmd:
    case Keyword::Entrypoint:
        return set_json_or(instruction, rest, escape, Otherwise::Text);
    case Keyword::Run:
        TRY(set_json_or(instruction, rest, escape, Otherwise::Text));
        return require_arguments(instruction);
    case Keyword::Shell:
        TRY(set_json_or(instruction, rest, escape, Otherwise::Text));
        if (!instruction.is_json) {
            return invalid_argument("SHELL requires the arguments to be in JSON form");
        }
        return require_arguments(instruction);
    case Keyword::Volume:
        TRY(set_json_or(instruction, rest, escape, Otherwise::Words));
        TRY(require_arguments(instruction));
        if (std::find(instruction.arguments.begin(), instruction.arguments.end(), "") !=
            instruction.arguments.end()) {
            return invalid_argument("VOLUME specified can not be an empty string");
        }
        return ok();
    case Keyword::Expose:
        instruction.arguments = quoted_words(rest, escape);
        return require_arguments(instruction);
    case Keyword::From:
        instruction.arguments = quoted_words(rest, escape);
        return check_from(instruction);
    case Keyword::Healthcheck:
        return set_health_check(instruction, rest, escape);
    case Keyword::OnBuild:
        return set_trigger(instruction, rest, escape);
    case Keyword::Maintainer:
    case Keyword::StopSignal:
    case Keyword::User:
    case Keyword::Workdir:
        return set_text(instruction, rest);
    }
    return ok();
}

Result<Instruction> make_instruction(const LogicalLine& line, char escape) {
    const CommandText command = split_command(line.text, escape);
    const std::string upper = to_upper(command.keyword);
    const auto keyword =
        std::find_if(keywords.begin(), keywords.end(), [&upper](const auto& candidate) {
            return candidate.second == upper;
        });
    if (keyword == keywords.end()) {
        std::array<std::string_view, keywords.size()> names;
        std::transform(keywords.begin(), keywords.end(), names.begin(), [](const auto& known) {
            return known.second;
        });
        return invalid_argument(
            "unknown instruction: " + command.keyword + suggestion(command.keyword, names));
    }
    Instruction instruction;
    instruction.keyword = keyword->first;
    instruction.line = line.number;
    instruction.original = line.text;
    instruction.heredocs = line.heredocs;
    for (Heredoc& heredoc : instruction.heredocs) {
        if (instruction.keyword != Keyword::Copy && instruction.keyword != Keyword::Add) {
            heredoc.content = to_utf8(heredoc.content); // no file, but a command's text
        }
    }
    TRY(set_flags(instruction, command.flags));
    TRY(set_arguments(instruction, command.rest, escape));
    // "RUN <<EOF" and nothing else: the heredoc is the script.
    if (instruction.keyword == Keyword::Run && instruction.heredocs.size() == 1 &&
        quoted_words(command.rest, escape).size() == 1) {
        instruction.heredocs[0].is_alone = true;
    }
    return instruction;
}

Error at_line(const Error& error, int line) {
    return error.message().starts_with("dockerfile parse error")
               ? error
               : parse_error(line, error.message());
}

} // namespace

std::string_view to_string(Keyword keyword) {
    for (const auto& [candidate, name] : keywords) {
        if (candidate == keyword) {
            return name;
        }
    }
    return "";
}

std::string_view Instruction::flag(std::string_view name) const {
    const auto found = flags.find(std::string(name));
    return found == flags.end() ? std::string_view() : std::string_view(found->second);
}

Result<Dockerfile> parse_dockerfile(std::string_view text) {
    if (text.size() > dockerfile_limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            "the Dockerfile exceeds the limit of " + std::to_string(dockerfile_limit) + " bytes");
    }
    const LogicalLines lines = TRY(split_lines(text, '\\'));
    if (lines.lines.empty()) {
        return invalid_argument("file with no instructions");
    }
    Dockerfile dockerfile;
    dockerfile.escape = lines.escape;
    for (const LogicalLine& line : lines.lines) {
        auto parsed = make_instruction(line, lines.escape);
        if (!parsed.ok()) {
            return at_line(parsed.error(), line.number);
        }
        Instruction instruction = std::move(parsed).value();
        if (instruction.keyword == Keyword::From) {
            Stage stage;
            stage.base = instruction.arguments[0];
            stage.name =
                instruction.arguments.size() == 3 ? to_lower(instruction.arguments[2]) : "";
            stage.platform = instruction.flag("platform");
            stage.from = std::move(instruction);
            dockerfile.stages.push_back(std::move(stage));
        } else if (!dockerfile.stages.empty()) {
            dockerfile.stages.back().instructions.push_back(std::move(instruction));
        } else if (instruction.keyword == Keyword::Arg) {
            dockerfile.global_args.push_back(std::move(instruction));
        } else {
            return parse_error(line.number, "no build stage in current context");
        }
    }
    if (dockerfile.stages.empty()) {
        return invalid_argument("no build stage in current context");
    }
    return dockerfile;
}

Result<Instruction> parse_instruction(std::string_view text, char escape) {
    const LogicalLines lines = TRY(split_lines(text, escape));
    if (lines.lines.size() != 1) {
        return invalid_argument("not one instruction: " + std::string(text));
    }
    return make_instruction(lines.lines[0], escape);
}

Instruction make_label_instruction(const std::map<std::string, std::string>& labels) {
    Instruction instruction;
    instruction.keyword = Keyword::Label;
    instruction.original = "LABEL";
    for (const auto& [name, value] : labels) {
        // Quoted, so that expansion gives the same text back.
        const auto quote = [](const std::string& text) {
            return "'" + replace_all(text, "'", "'\"'\"'") + "'";
        };
        instruction.original += " " + quote(name) + "=" + quote(value);
        instruction.assignments.push_back({quote(name), quote(value)});
    }
    return instruction;
}

} // namespace berth::build
