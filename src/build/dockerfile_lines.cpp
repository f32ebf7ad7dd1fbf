// SPDX-License-Identifier: Apache-2.0
// Lines as https://github.com/moby/buildkit/blob/master/frontend/dockerfile/parser/parser.go takes
// them.
#include "build/dockerfile_lines.h"

#include "base/strings.h"
#include "base/utf8.h"
#include "codec/json.h"

#include <algorithm>
#include <set>

namespace berth::build {

namespace {

constexpr std::string_view blanks = " \t\v\f\r";

std::string_view trim_left(std::string_view text) {
    const std::size_t start = text.find_first_not_of(blanks);
    return start == std::string_view::npos ? std::string_view() : text.substr(start);
}

bool is_comment(std::string_view line) {
    return trim_left(line).starts_with('#');
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

struct Directive {
    std::string name;
    std::string value;
};

// "# name = value"
std::optional<Directive> parse_directive(std::string_view line) {
    line = trim_left(line);
    if (!line.starts_with('#')) {
        return std::nullopt;
    }
    const auto parts = cut(line.substr(1), "=");
    if (!parts) {
        return std::nullopt;
    }
    const std::string_view name = trim(parts->before);
    const bool valid =
        !name.empty() && is_letter(name[0]) && std::all_of(name.begin(), name.end(), [](char c) {
            return is_letter(c) || (c >= '0' && c <= '9');
        });
    const std::string_view value = trim(parts->after);
    if (!valid || value.empty()) {
        return std::nullopt;
    }
    return Directive{to_lower(name), std::string(value)};
}

class Splitter {
  public:
    Splitter(std::string_view text, char escape)
        : rest_(text) {
        result_.escape = escape;
    }

    Result<LogicalLines> run();

  private:
    std::optional<std::string_view> next_line();
    Result<bool> take_directive(std::string_view line);
    bool ends_in_continuation(std::string_view& line) const;
    Result<void> read_heredocs(LogicalLine& line);
    bool takes_heredocs(std::string_view text) const;

    std::string_view rest_;
    bool at_end_ = false;
    int number_ = 0;
    bool directives_possible_ = true;
    std::set<std::string> directives_seen_;
    LogicalLines result_;
};

std::optional<std::string_view> Splitter::next_line() {
    if (at_end_ || (rest_.empty() && number_ > 0)) {
        return std::nullopt;
    }
    ++number_;
    const auto parts = cut(rest_, "\n");
    std::string_view line = parts ? parts->before : rest_;
    at_end_ = !parts;
    rest_ = parts ? parts->after : std::string_view();
    if (line.ends_with('\r')) {
        line.remove_suffix(1);
    }
    if (number_ == 1 && line.starts_with("\xef\xbb\xbf")) {
        line.remove_prefix(3);
    }
    return line;
}

// Directives stand before everything else; the first line that is none ends them.
Result<bool> Splitter::take_directive(std::string_view line) {
    if (!directives_possible_) {
        return false;
    }
    const auto directive = parse_directive(line);
    const bool known = directive && (directive->name == "escape" || directive->name == "syntax" ||
                                     directive->name == "check");
    if (!known) {
        directives_possible_ = false;
        return false;
    }
    if (!directives_seen_.insert(directive->name).second) {
        return parse_error(
            number_, "only one " + directive->name + " parser directive can be used");
    }
    if (directive->name == "escape") {
        if (directive->value != "\\" && directive->value != "`") {
            return parse_error(
                number_, "invalid escape token '" + directive->value + "' does not match ` or \\");
        }
        result_.escape = directive->value[0];
    }
    return true;
}

// Cuts the escape off. Two of them are an escaped escape and no continuation.
bool Splitter::ends_in_continuation(std::string_view& line) const {
    const std::size_t last = line.find_last_not_of(" \t");
    if (last == std::string_view::npos || line[last] != result_.escape ||
        (last > 0 && line[last - 1] == result_.escape)) {
        return false;
    }
    line = line.substr(0, last);
    return true;
}

bool Splitter::takes_heredocs(std::string_view text) const {
    CommandText command = split_command(text, result_.escape);
    if (equals_ignoring_case(command.keyword, "onbuild")) {
        command = split_command(command.rest, result_.escape);
    }
    const bool keyword = equals_ignoring_case(command.keyword, "run") ||
                         equals_ignoring_case(command.keyword, "copy") ||
                         equals_ignoring_case(command.keyword, "add");
    if (!keyword) {
        return false;
    }
    const auto json = parse_json_form(command.rest);
    return json.ok() && !*json;
}

Result<void> Splitter::read_heredocs(LogicalLine& line) {
    if (line.text.find("<<") == std::string::npos || !takes_heredocs(line.text)) {
        return ok();
    }
    for (const std::string& word : quoted_words(line.text, result_.escape)) {
        auto mark = parse_heredoc_mark(word);
        if (!mark) {
            continue;
        }
        while (true) {
            auto next = next_line();
            if (!next) {
                return parse_error(line.number, "unterminated heredoc");
            }
            std::string_view content = *next;
            if (mark->strip_tabs) {
                content.remove_prefix(std::min(content.find_first_not_of('\t'), content.size()));
            }
            if (content == mark->heredoc.name) {
                break;
            }
            mark->heredoc.content.append(content);
            mark->heredoc.content += '\n';
        }
        line.heredocs.push_back(std::move(mark->heredoc));
    }
    return ok();
}

Result<LogicalLines> Splitter::run() {
    while (auto physical = next_line()) {
        const bool directive = TRY(take_directive(*physical));
        if (directive || is_comment(*physical) || trim_left(*physical).empty()) {
            continue;
        }
        LogicalLine line{.number = number_};
        std::string_view part = trim_left(*physical);
        bool more = ends_in_continuation(part);
        line.text = part;
        while (more) {
            auto next = next_line();
            if (!next) {
                break;
            }
            // Comments and empty lines within an instruction are not part of it.
            if (is_comment(*next) || trim_left(*next).empty()) {
                continue;
            }
            part = *next;
            more = ends_in_continuation(part);
            line.text.append(part);
        }
        // A part that a continuation cut through is whole again.
        line.text = to_utf8(trim(line.text));
        if (line.text.empty()) {
            continue;
        }
        TRY(read_heredocs(line));
        result_.lines.push_back(std::move(line));
    }
    return std::move(result_);
}

} // namespace

Error parse_error(int line, std::string_view message) {
    return invalid_argument(
        "dockerfile parse error on line " + std::to_string(line) + ": " + std::string(message));
}

Result<LogicalLines> split_lines(std::string_view text, char escape) {
    return Splitter(text, escape).run();
}

std::vector<std::string> quoted_words(std::string_view text, char escape) {
    std::vector<std::string> result;
    std::string word;
    char quote = '\0';
    bool in_word = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quote == '\0' && (blanks.find(c) != std::string_view::npos || c == '\n')) {
            if (in_word) {
                result.push_back(std::move(word));
                word.clear();
                in_word = false;
            }
            continue;
        }
        in_word = true;
        word += c;
        if (quote == '\0' && (c == '"' || c == '\'')) {
            quote = c;
        } else if (c == quote) {
            quote = '\0';
        } else if (c == escape && quote != '\'' && i + 1 < text.size()) {
            word += text[++i];
        }
    }
    if (in_word) {
        result.push_back(std::move(word));
    }
    return result;
}

CommandText split_command(std::string_view text, char escape) {
    CommandText command;
    text = trim(text);
    const std::size_t end = std::min(text.find_first_of(" \t\v\f\r\n"), text.size());
    command.keyword = text.substr(0, end);
    text = trim(text.substr(end));
    while (text.starts_with("--")) {
        std::string flag;
        char quote = '\0';
        std::size_t i = 0;
        for (; i < text.size(); ++i) {
            const char c = text[i];
            if (quote == '\0' && blanks.find(c) != std::string_view::npos) {
                break;
            }
            if (quote == '\0' && (c == '"' || c == '\'')) {
                quote = c;
            } else if (c == quote) {
                quote = '\0';
            } else if (c == escape && quote != '\'' && i + 1 < text.size()) {
                flag += text[++i];
            } else {
                flag += c;
            }
        }
        text = trim(text.substr(i));
        if (flag == "--") {
            break;
        }
        command.flags.push_back(std::move(flag));
    }
    command.rest = text;
    return command;
}

Result<std::optional<std::vector<std::string>>> parse_json_form(std::string_view text) {
    std::optional<std::vector<std::string>> none;
    if (!text.starts_with('[')) {
        return none;
    }
    const auto value = json::parse(text, {.depth = 8, .bytes = dockerfile_limit});
    if (!value.ok() || !value->is_array()) {
        return none;
    }
    std::vector<std::string> result;
    for (const json::Value& element : value->get_array()) {
        if (!element.is_string()) {
            return invalid_argument(
                "when using JSON array syntax, arrays must be comprised of strings only");
        }
        result.emplace_back(element.get_string().data(), element.get_string().size());
    }
    return std::optional(std::move(result));
}

std::optional<HeredocMark> parse_heredoc_mark(std::string_view word) {
    const std::size_t digits = word.find_first_not_of("0123456789");
    if (digits == std::string_view::npos || !word.substr(digits).starts_with("<<")) {
        return std::nullopt;
    }
    HeredocMark mark;
    std::string_view name = word.substr(digits + 2);
    if (name.starts_with('-')) {
        mark.strip_tabs = true;
        name.remove_prefix(1);
    }
    if (name.empty() || name.find('<') != std::string_view::npos) {
        return std::nullopt;
    }
    for (const char c : name) {
        if (c == '"' || c == '\'') {
            mark.heredoc.expand = false;
        } else {
            mark.heredoc.name += c;
        }
    }
    if (mark.heredoc.name.empty()) {
        return std::nullopt;
    }
    return mark;
}

} // namespace berth::build
