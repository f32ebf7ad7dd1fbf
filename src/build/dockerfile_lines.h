// SPDX-License-Identifier: Apache-2.0
// From a Dockerfile's text to logical lines: directives, comments, continuations, heredocs.
#pragma once

#include "base/result.h"
#include "build/dockerfile.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

struct LogicalLine {
    int number = 0;
    std::string text;
    std::vector<Heredoc> heredocs;
};

struct LogicalLines {
    char escape = '\\';
    std::vector<LogicalLine> lines;
};

Result<LogicalLines> split_lines(std::string_view text, char escape);

// Words between white space; quotes and escapes stay in the words and keep white space together.
std::vector<std::string> quoted_words(std::string_view text, char escape);

// "COPY --from=x a b" as keyword, flags ("--from=x", quotes removed) and rest.
struct CommandText {
    std::string keyword;
    std::vector<std::string> flags;
    std::string rest;
};

CommandText split_command(std::string_view text, char escape);

// A JSON array of strings; nullopt for other text, which is a shell's. InvalidArgument for an array
// with other elements.
Result<std::optional<std::vector<std::string>>> parse_json_form(std::string_view text);

// "<<EOF", "<<-'EOF'", "3<<EOF" as a heredoc without content; nullopt for other words.
struct HeredocMark {
    Heredoc heredoc;
    bool strip_tabs = false;
};

std::optional<HeredocMark> parse_heredoc_mark(std::string_view word);

Error parse_error(int line, std::string_view message);

} // namespace berth::build
