// SPDX-License-Identifier: Apache-2.0
// Patterns are matched by dynamic programming over tokens and positions: no pattern, however
// malicious, takes more than their product.
#include "codec/ignore_file.h"

#include "base/strings.h"

namespace berth {

namespace {

constexpr std::size_t pattern_limit = 4096;
constexpr std::size_t patterns_limit = 10'000;

// Lexically, relative: "./a//b/../c/" -> "a/c".
std::string clean_relative(std::string_view text) {
    const std::string cleaned = clean_path("/" + std::string(text));
    return cleaned.substr(1);
}

Error bad_pattern(std::string_view text) {
    return invalid_argument(
        "error parsing .dockerignore: syntax error in pattern: " + std::string(text));
}

} // namespace

Result<IgnoreFile> IgnoreFile::parse(std::string_view text) {
    IgnoreFile file;
    if (text.starts_with("\xef\xbb\xbf")) {
        text.remove_prefix(3);
    }
    for (const std::string_view line : split(text, '\n')) {
        if (!line.starts_with('#')) {
            TRY(file.add(line));
        }
    }
    return file;
}

Result<IgnoreFile> IgnoreFile::from_patterns(const std::vector<std::string>& patterns) {
    IgnoreFile file;
    for (const std::string& pattern : patterns) {
        TRY(file.add(pattern));
    }
    return file;
}

Result<void> IgnoreFile::add(std::string_view line) {
    line = trim(line);
    if (line.empty()) {
        return ok();
    }
    Pattern pattern;
    if (line.front() == '!') {
        pattern.negated = true;
        line = trim(line.substr(1));
        if (line.empty()) {
            return invalid_argument(
                "error parsing .dockerignore: illegal exclusion pattern: \"!\"");
        }
    }
    if (line.size() > pattern_limit || patterns_.size() >= patterns_limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            ".dockerignore exceeds the limit of " + std::to_string(pattern_limit) +
                " bytes a pattern or " + std::to_string(patterns_limit) + " patterns");
    }
    pattern.text = clean_relative(line);
    pattern.tokens = TRY(compile(pattern.text));
    patterns_.push_back(std::move(pattern));
    return ok();
}

Result<std::size_t> IgnoreFile::compile_set(std::string_view text, std::size_t at, Token& token) {
    token.kind = TokenKind::Set;
    if (at < text.size() && text[at] == '^') {
        token.negated_set = true;
        ++at;
    }
    const auto character = [&]() -> Result<char> {
        if (at < text.size() && text[at] == '\\') {
            ++at;
        }
        if (at >= text.size()) {
            return bad_pattern(text);
        }
        return text[at++];
    };
    while (at < text.size() && (text[at] != ']' || token.set.empty())) {
        const char first = TRY(character());
        char last = first;
        if (at < text.size() && text[at] == '-') {
            ++at;
            last = TRY(character());
        }
        token.set += first;
        token.set += last;
    }
    if (at >= text.size()) {
        return bad_pattern(text);
    }
    return at + 1;
}

Result<std::vector<IgnoreFile::Token>> IgnoreFile::compile(std::string_view text) {
    std::vector<Token> tokens;
    std::size_t at = 0;
    while (at < text.size()) {
        Token token;
        const char c = text[at++];
        if (c == '*' && at < text.size() && text[at] == '*') {
            ++at;
            if (at < text.size() && text[at] == '/') {
                ++at;
            }
            token.kind = at == text.size() ? TokenKind::Rest : TokenKind::Directories;
        } else if (c == '*') {
            token.kind = TokenKind::Some;
        } else if (c == '?') {
            token.kind = TokenKind::One;
        } else if (c == '[') {
            at = TRY(compile_set(text, at, token));
        } else if (c == '\\') {
            if (at == text.size()) {
                return bad_pattern(text);
            }
            token.character = text[at++];
        } else {
            token.character = c;
        }
        tokens.push_back(std::move(token));
    }
    return tokens;
}

// reached[i]: the tokens so far can match the first i characters.
bool IgnoreFile::matches(const Pattern& pattern, std::string_view path) {
    std::vector<bool> reached(path.size() + 1, false);
    reached[0] = true;
    for (const Token& token : pattern.tokens) {
        std::vector<bool> next(path.size() + 1, false);
        bool any = false; // some earlier position was reached
        for (std::size_t i = 0; i <= path.size(); ++i) {
            const bool here = reached[i];
            const char before = i > 0 ? path[i - 1] : '\0';
            const bool previous = i > 0 && reached[i - 1];
            switch (token.kind) {
            case TokenKind::Character:
                next[i] = previous && before == token.character;
                break;
            case TokenKind::One:
                next[i] = previous && before != '/';
                break;
            case TokenKind::Some:
                next[i] = here || (i > 0 && next[i - 1] && before != '/');
                break;
            case TokenKind::Rest:
                next[i] = here || (i > 0 && next[i - 1]);
                break;
            case TokenKind::Directories:
                next[i] = here || (any && before == '/');
                break;
            case TokenKind::Set: {
                bool inside = false;
                for (std::size_t k = 0; k + 1 < token.set.size(); k += 2) {
                    inside = inside || (before >= token.set[k] && before <= token.set[k + 1]);
                }
                next[i] = previous && before != '/' && inside != token.negated_set;
                break;
            }
            }
            any = any || here;
        }
        reached = std::move(next);
    }
    return reached[path.size()];
}

bool IgnoreFile::excludes(std::string_view path) const {
    bool excluded = false;
    for (const Pattern& pattern : patterns_) {
        // Only a pattern that would change the outcome matters.
        if (pattern.negated != excluded) {
            continue;
        }
        bool matched = matches(pattern, path);
        for (std::size_t slash = path.find('/'); !matched && slash != std::string_view::npos;
             slash = path.find('/', slash + 1)) {
            matched = matches(pattern, path.substr(0, slash));
        }
        if (matched) {
            excluded = !pattern.negated;
        }
    }
    return excluded;
}

bool IgnoreFile::may_skip_directory(std::string_view path) const {
    if (!excludes(path)) {
        return false;
    }
    const std::string prefix = std::string(path) + "/";
    for (const Pattern& pattern : patterns_) {
        if (pattern.negated && (pattern.text + "/").starts_with(prefix)) {
            return false;
        }
    }
    return true;
}

} // namespace berth
