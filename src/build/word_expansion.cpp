// SPDX-License-Identifier: Apache-2.0
// A recursive-descent reader; nesting (${X:-${Y:-…}}) is bounded.
#include "build/word_expansion.h"

#include "base/strings.h"

#include <algorithm>
#include <optional>

namespace berth::build {

namespace {

constexpr int depth_limit = 32;
// Matching a pattern takes time that grows with the square of the value.
constexpr std::size_t pattern_value_limit = 64U << 10;
constexpr std::size_t result_limit = 16U << 20;

bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

// The whole text against * and ?; a backslash takes the next character as it is.
bool matches(std::string_view pattern, std::string_view text) {
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t star = std::string_view::npos;
    std::size_t star_text = 0;
    while (t < text.size()) {
        const bool escaped = p + 1 < pattern.size() && pattern[p] == '\\';
        if (p < pattern.size() && !escaped && pattern[p] == '*') {
            star = p++;
            star_text = t;
        } else if (escaped && pattern[p + 1] == text[t]) {
            p += 2;
            ++t;
        } else if (p < pattern.size() && !escaped && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') {
        ++p;
    }
    return p == pattern.size();
}

enum class Reach : std::uint8_t { Shortest, Longest };

std::string remove_prefix(std::string_view value, std::string_view pattern, Reach reach) {
    for (std::size_t i = 0; i <= value.size(); ++i) {
        const std::size_t length = reach == Reach::Shortest ? i : value.size() - i;
        if (matches(pattern, value.substr(0, length))) {
            return std::string(value.substr(length));
        }
    }
    return std::string(value);
}

std::string remove_suffix(std::string_view value, std::string_view pattern, Reach reach) {
    for (std::size_t i = 0; i <= value.size(); ++i) {
        const std::size_t start = reach == Reach::Longest ? i : value.size() - i;
        if (matches(pattern, value.substr(start))) {
            return std::string(value.substr(0, start));
        }
    }
    return std::string(value);
}

std::string
replace(std::string_view value, std::string_view pattern, std::string_view with, bool all) {
    std::string result;
    std::size_t at = 0;
    bool done = false;
    while (at < value.size()) {
        std::size_t length = 0;
        for (std::size_t i = value.size() - at; i > 0 && !done && length == 0; --i) {
            if (matches(pattern, value.substr(at, i))) {
                length = i;
            }
        }
        if (length == 0) {
            result += value[at++];
            continue;
        }
        result += with;
        at += length;
        done = !all;
    }
    return result;
}

class Expander {
  public:
    enum class Mode : std::uint8_t { OneWord, Words, Text };

    Expander(std::string_view text, const Variables& variables, char escape)
        : text_(text)
        , variables_(variables)
        , escape_(escape) {}

    Result<void> run(Mode mode) {
        mode_ = mode;
        while (at_ < text_.size()) {
            TRY(step());
        }
        end_word();
        return ok();
    }

    std::vector<std::string> take_words() { return std::move(words_); }

    std::string take_text() { return std::move(word_); }

  private:
    Result<void> step();
    Result<void> double_quoted();
    Result<std::string> dollar();
    Result<std::string> braced();
    Result<std::string> operand(std::string_view stops);
    Result<std::string> apply(std::string_view name, std::string_view modifier, bool colon);
    Result<std::string> apply_pattern(std::string_view name, std::string_view modifier);
    std::optional<std::string_view> lookup(std::string_view name) const;
    std::string_view read_name();
    void add_value(const std::string& value);
    void end_word();

    std::string_view text_;
    const Variables& variables_;
    char escape_;
    Mode mode_ = Mode::OneWord;
    std::size_t at_ = 0;
    int depth_ = 0;
    std::string word_;
    bool in_word_ = false;
    std::vector<std::string> words_;
};

void Expander::end_word() {
    if (mode_ == Mode::Words && in_word_) {
        words_.push_back(std::move(word_));
        word_.clear();
        in_word_ = false;
    }
}

// An unquoted variable's value is cut at its white space, as a shell does.
void Expander::add_value(const std::string& value) {
    if (mode_ != Mode::Words) {
        word_ += value;
        return;
    }
    for (const char c : value) {
        if (is_blank(c)) {
            end_word();
        } else {
            word_ += c;
            in_word_ = true;
        }
    }
}

Result<void> Expander::step() {
    if (word_.size() > result_limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            "an expanded word exceeds the limit of " + std::to_string(result_limit) + " bytes");
    }
    const char c = text_[at_];
    if (c == '$') {
        add_value(TRY(dollar()));
        return ok();
    }
    ++at_;
    if (mode_ == Mode::Text) {
        // Only an escaped dollar or escape loses its escape.
        if (c == escape_ && at_ < text_.size() && (text_[at_] == '$' || text_[at_] == escape_)) {
            word_ += text_[at_++];
        } else {
            word_ += c;
        }
        return ok();
    }
    if (mode_ == Mode::Words && is_blank(c)) {
        end_word();
        return ok();
    }
    in_word_ = true;
    if (c == '\'') {
        const std::size_t end = text_.find('\'', at_);
        if (end == std::string_view::npos) {
            return invalid_argument(
                "unexpected end of statement while looking for matching single-quote");
        }
        word_ += text_.substr(at_, end - at_);
        at_ = end + 1;
        return ok();
    }
    if (c == '"') {
        return double_quoted();
    }
    if (c == escape_) {
        if (at_ < text_.size()) {
            word_ += text_[at_++];
        }
        return ok();
    }
    word_ += c;
    return ok();
}

Result<void> Expander::double_quoted() {
    while (at_ < text_.size()) {
        const char c = text_[at_];
        if (c == '"') {
            ++at_;
            return ok();
        }
        if (c == '$') {
            word_ += TRY(dollar());
            continue;
        }
        ++at_;
        if (c == escape_ && at_ < text_.size() &&
            (text_[at_] == '"' || text_[at_] == '$' || text_[at_] == escape_)) {
            word_ += text_[at_++];
        } else {
            word_ += c;
        }
    }
    return invalid_argument("unexpected end of statement while looking for matching double-quote");
}

std::string_view Expander::read_name() {
    const std::size_t start = at_;
    if (at_ < text_.size() && is_name_start(text_[at_])) {
        while (at_ < text_.size() && (is_name_start(text_[at_]) || is_digit(text_[at_]))) {
            ++at_;
        }
    } else if (at_ < text_.size() && is_digit(text_[at_])) {
        while (at_ < text_.size() && is_digit(text_[at_])) {
            ++at_;
        }
    } else if (
        at_ < text_.size() && std::string_view("@*#").find(text_[at_]) != std::string_view::npos) {
        ++at_;
    }
    return text_.substr(start, at_ - start);
}

std::optional<std::string_view> Expander::lookup(std::string_view name) const {
    const auto found = variables_.find(name);
    if (found == variables_.end()) {
        return std::nullopt;
    }
    return found->second;
}

Result<std::string> Expander::dollar() {
    ++at_;
    if (at_ < text_.size() && text_[at_] == '{') {
        if (++depth_ > depth_limit) {
            return invalid_argument(
                "variables are nested deeper than the limit of " + std::to_string(depth_limit));
        }
        ++at_;
        auto value = braced();
        --depth_;
        return value;
    }
    const std::string_view name = read_name();
    if (name.empty()) {
        return std::string("$");
    }
    return std::string(lookup(name).value_or(""));
}

Result<std::string> Expander::braced() {
    const std::string_view name = read_name();
    if (name.empty()) {
        return invalid_argument("syntax error: bad substitution");
    }
    if (at_ >= text_.size()) {
        return invalid_argument("syntax error: missing '}'");
    }
    if (text_[at_] == '}') {
        ++at_;
        return std::string(lookup(name).value_or(""));
    }
    const bool colon = text_[at_] == ':';
    if (colon) {
        ++at_;
    }
    if (at_ >= text_.size()) {
        return invalid_argument("syntax error: missing ':' in substitution");
    }
    const char modifier = text_[at_];
    if (std::string_view("-+?").find(modifier) != std::string_view::npos) {
        ++at_;
        return apply(name, {&modifier, 1}, colon);
    }
    if (!colon && std::string_view("#%/").find(modifier) != std::string_view::npos) {
        ++at_;
        std::string text(1, modifier);
        if (at_ < text_.size() && text_[at_] == modifier) {
            text += text_[at_++];
        }
        return apply_pattern(name, text);
    }
    return invalid_argument(
        "unsupported modifier (" + std::string(1, modifier) + ") in substitution");
}

// Up to one of the stops, which is consumed when it is '/' and left when it is '}'… both are
// consumed; quotes are removed and variables expanded.
Result<std::string> Expander::operand(std::string_view stops) {
    std::string result;
    while (at_ < text_.size()) {
        const char c = text_[at_];
        if (stops.find(c) != std::string_view::npos) {
            return result;
        }
        if (c == '$') {
            result += TRY(dollar());
        } else if (c == '\'' || c == '"') {
            std::swap(word_, result);
            const bool was_in_word = in_word_;
            const Mode mode = std::exchange(mode_, Mode::OneWord);
            auto stepped = step();
            mode_ = mode;
            in_word_ = was_in_word;
            std::swap(word_, result);
            if (!stepped.ok()) {
                return std::move(stepped).error();
            }
        } else if (c == escape_ && at_ + 1 < text_.size()) {
            // Kept for patterns, where it makes * and ? ordinary.
            if (stops.size() > 1 || stops == "/") {
                result += c;
            }
            result += text_[at_ + 1];
            at_ += 2;
        } else {
            result += c;
            ++at_;
        }
    }
    return invalid_argument("syntax error: missing '}'");
}

Result<std::string> Expander::apply(std::string_view name, std::string_view modifier, bool colon) {
    const std::string word = TRY(operand("}"));
    ++at_;
    const auto value = lookup(name);
    const bool is_set = value && !(colon && value->empty());
    if (modifier == "-") {
        return is_set ? std::string(*value) : word;
    }
    if (modifier == "+") {
        return is_set ? word : std::string();
    }
    if (!is_set) {
        const std::string why = !word.empty() ? word
                                : value       ? "not allowed to be empty"
                                              : "not allowed to be unset";
        return invalid_argument(std::string(name) + ": " + why);
    }
    return std::string(*value);
}

Result<std::string> Expander::apply_pattern(std::string_view name, std::string_view modifier) {
    const bool replaces = modifier[0] == '/';
    const std::string pattern = TRY(operand(replaces ? "/}" : "}"));
    std::string with;
    if (replaces && text_[at_] == '/') {
        ++at_;
        with = TRY(operand("}"));
    }
    ++at_;
    const std::string_view value = lookup(name).value_or("");
    if (value.size() > pattern_value_limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            "the value of " + std::string(name) + " exceeds the limit of " +
                std::to_string(pattern_value_limit) + " bytes for patterns");
    }
    const Reach reach = modifier.size() == 2 ? Reach::Longest : Reach::Shortest;
    switch (modifier[0]) {
    case '#':
        return remove_prefix(value, pattern, reach);
    case '%':
        return remove_suffix(value, pattern, reach);
    default:
        return pattern.empty() ? std::string(value)
                               : replace(value, pattern, with, modifier.size() == 2);
    }
}

Error in_text(Error error, std::string_view text) {
    return std::move(error).with_context("failed to process \"" + std::string(text) + "\"");
}

} // namespace

Result<std::string> expand_word(std::string_view text, const Variables& variables, char escape) {
    Expander expander(text, variables, escape);
    auto done = expander.run(Expander::Mode::OneWord);
    if (!done.ok()) {
        return in_text(std::move(done).error(), text);
    }
    return expander.take_text();
}

Result<std::vector<std::string>>
expand_words(std::string_view text, const Variables& variables, char escape) {
    Expander expander(text, variables, escape);
    auto done = expander.run(Expander::Mode::Words);
    if (!done.ok()) {
        return in_text(std::move(done).error(), text);
    }
    return expander.take_words();
}

Result<std::string> expand_text(std::string_view text, const Variables& variables, char escape) {
    Expander expander(text, variables, escape);
    auto done = expander.run(Expander::Mode::Text);
    if (!done.ok()) {
        return in_text(std::move(done).error(), "heredoc");
    }
    return expander.take_text();
}

} // namespace berth::build
