// SPDX-License-Identifier: Apache-2.0
// Go's words of a pattern put into POSIX's, and bounds before regcomp, which has none.
#include "engine/pattern.h"

#include "base/strings.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include <regex.h>

namespace berth::engine {
namespace {

constexpr std::size_t longest_pattern = 1000;
constexpr std::ptrdiff_t most_groups = 100; // regcomp recurses into them
constexpr std::size_t most_repetitions = 1000;

constexpr std::string_view without_case = "(?i)";

// "{2,5}" at the text's front: 5. regcomp copies what is repeated as often.
std::size_t repetitions_of(std::string_view text) {
    std::size_t most = 1;
    const std::string_view bounds = text.substr(1, text.find('}') - 1);
    for (const std::string_view bound : split(bounds, ',')) {
        if (const auto number = parse_number<std::size_t>(bound); number.ok()) {
            most = std::max(most, *number);
        }
    }
    return most;
}

bool is_bearable(std::string_view text) {
    std::size_t repetitions = 1;
    for (std::size_t at = text.find('{'); at != std::string_view::npos;
         at = text.find('{', at + 1)) {
        repetitions *= std::min(repetitions_of(text.substr(at)), most_repetitions + 1);
        if (repetitions > most_repetitions) {
            return false;
        }
    }
    return text.size() <= longest_pattern && std::ranges::count(text, '(') <= most_groups;
}

// What stands for \d and its like; nothing for what Go refuses.
std::optional<std::string> posix_escape(char letter, bool in_brackets) {
    if (letter == 'd') {
        return in_brackets ? "0-9" : "[0-9]";
    }
    if (in_brackets) { // where POSIX knows no escapes
        if (letter == 'w') {
            return "[:alnum:]_";
        }
        return letter == 's' ? std::string("[:space:]") : std::string(1, letter);
    }
    if (letter == 'D') {
        return "[^0-9]";
    }
    if (std::isdigit(static_cast<unsigned char>(letter)) != 0) {
        return std::nullopt; // a reference to a group
    }
    return std::string{'\\', letter};
}

std::optional<std::string> posix_pattern(std::string_view text) {
    if (!is_bearable(text) || text.find_first_of("*+?") == 0) {
        return std::nullopt;
    }
    std::string posix;
    bool in_brackets = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
            const auto escape = posix_escape(text[++i], in_brackets);
            if (!escape) {
                return std::nullopt;
            }
            posix += *escape;
            continue;
        }
        if (!in_brackets && text.substr(i).starts_with("(?:")) {
            posix += '(';
            i += 2;
            continue;
        }
        // A ] behind the [ is one of the characters.
        const bool is_first = posix.ends_with('[') || posix.ends_with("[^");
        if (text[i] == '[') {
            in_brackets = true;
        } else if (text[i] == ']' && !is_first) {
            in_brackets = false;
        }
        posix += text[i];
    }
    return posix;
}

} // namespace

class Pattern::Compiled {
  public:
    Compiled(const std::string& posix, int flags)
        : is_pattern_(regcomp(&expression_, posix.c_str(), flags) == 0) {}

    Compiled(const Compiled&) = delete;
    Compiled& operator=(const Compiled&) = delete;

    ~Compiled() {
        if (is_pattern_) {
            regfree(&expression_);
        }
    }

    bool is_pattern() const { return is_pattern_; }

    bool matches(const std::string& text) const {
        return regexec(&expression_, text.c_str(), 0, nullptr, 0) == 0;
    }

  private:
    regex_t expression_{};
    bool is_pattern_;
};

Result<Pattern> Pattern::compile(std::string_view text) {
    std::string_view rest = text;
    int flags = REG_EXTENDED | REG_NOSUB;
    if (rest.starts_with(without_case)) {
        rest.remove_prefix(without_case.size());
        flags |= REG_ICASE;
    }
    Pattern pattern;
    if (const auto posix = posix_pattern(rest)) {
        pattern.compiled_ = std::make_shared<const Compiled>(*posix, flags);
    }
    if (!pattern.compiled_ || !pattern.compiled_->is_pattern()) {
        return invalid_argument("error parsing regexp: `" + std::string(text) + "` is no pattern");
    }
    return pattern;
}

bool Pattern::matches(const std::string& text) const {
    return compiled_->matches(text);
}

NamePatterns::NamePatterns(const std::vector<std::string>& names)
    : names_(names) {
    for (const std::string& name : names) {
        if (auto pattern = Pattern::compile(name); pattern.ok()) {
            patterns_.push_back(*std::move(pattern));
        }
    }
}

bool NamePatterns::match(const std::string& name) const {
    return names_.empty() || std::ranges::find(names_, name) != names_.end() ||
           std::ranges::any_of(
               patterns_, [&name](const Pattern& pattern) { return pattern.matches(name); });
}

} // namespace berth::engine
