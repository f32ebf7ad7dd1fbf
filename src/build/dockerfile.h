// SPDX-License-Identifier: Apache-2.0
// The Dockerfile's grammar: lines, continuations, heredocs, flags, and each instruction's own form.
// Nothing is expanded or looked up here. Errors are Docker's sentences after
// "dockerfile parse error on line N: ".
// https://docs.docker.com/reference/dockerfile/ and moby/buildkit frontend/dockerfile/parser.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

enum class Keyword : std::uint8_t {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    OnBuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
};

std::string_view to_string(Keyword keyword); // "ADD"

struct Heredoc {
    std::string name;
    std::string content; // leading tabs removed where <<- asks for it
    bool expand = true;  // the delimiter was not quoted
    bool is_alone = false;
};

// NAME or NAME=value of ENV, LABEL and ARG; quotes and variables are still in.
struct Assignment {
    std::string name;
    std::optional<std::string> value;
};

struct Instruction {
    Keyword keyword = Keyword::Run;
    int line = 0;
    std::string original; // as written, lines joined
    // Without dashes; "" for a flag without a value. Flags that may come several times (mount,
    // exclude) are joined in repeated_flags.
    std::map<std::string, std::string> flags;
    std::vector<std::pair<std::string, std::string>> repeated_flags;
    // The JSON array's elements, or the words, or the whole rest as one, as the keyword wants it.
    // HEALTHCHECK: "NONE", or "CMD" and then the command. ONBUILD: the trigger's text.
    std::vector<std::string> arguments;
    bool is_json = false;
    std::vector<Assignment> assignments;
    std::vector<Heredoc> heredocs;

    // The flag's value, or "".
    std::string_view flag(std::string_view name) const;
};

struct Stage {
    Instruction from;
    std::string base;     // before expansion
    std::string name;     // lower case; "" when it has none
    std::string platform; // of --platform, before expansion
    std::vector<Instruction> instructions;
};

struct Dockerfile {
    char escape = '\\';
    std::vector<Instruction> global_args; // ARG before the first FROM
    std::vector<Stage> stages;            // at least one
};

inline constexpr std::size_t dockerfile_limit = 4U << 20;

Result<Dockerfile> parse_dockerfile(std::string_view text);

// One instruction, heredocs included: a trigger of ONBUILD.
Result<Instruction> parse_instruction(std::string_view text, char escape = '\\');

// "FROM requires …" and the like come from instructions that are made up too (labels of a request).
Instruction make_label_instruction(const std::map<std::string, std::string>& labels);

} // namespace berth::build
