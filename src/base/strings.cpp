// SPDX-License-Identifier: Apache-2.0
// Text functions; byte-wise and locale-free on purpose.
#include "base/strings.h"

#include <algorithm>

namespace berth {

namespace {

bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

char upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

Error bad_pattern(std::string_view pattern) {
    return invalid_argument("syntax error in pattern \"" + std::string(pattern) + "\"");
}

// Matches one character against the class that starts after '['; returns the pattern's index behind
// ']'.
struct ClassMatch {
    bool matches;
    std::size_t next;
};

Result<ClassMatch> match_class(std::string_view pattern, std::size_t at, char c) {
    bool negated = at < pattern.size() && pattern[at] == '^';
    if (negated) {
        ++at;
    }
    bool matches = false;
    bool any = false;
    auto take = [&]() -> Result<char> {
        if (at < pattern.size() && pattern[at] == '\\') {
            ++at;
        }
        if (at >= pattern.size()) {
            return bad_pattern(pattern);
        }
        return pattern[at++];
    };
    while (true) {
        if (at < pattern.size() && pattern[at] == ']' && any) {
            return ClassMatch{matches != negated, at + 1};
        }
        if (at < pattern.size() && (pattern[at] == '-' || pattern[at] == ']')) {
            return bad_pattern(pattern);
        }
        char low = TRY(take());
        char high = low;
        if (at < pattern.size() && pattern[at] == '-') {
            ++at;
            high = TRY(take());
        }
        matches = matches || (low <= c && c <= high);
        any = true;
    }
}

// Every path through the pattern is checked for its syntax even when the text has already failed to
// match.
Result<void> check_pattern(std::string_view pattern) {
    for (std::size_t i = 0; i < pattern.size();) {
        if (pattern[i] == '\\') {
            if (i + 1 >= pattern.size()) {
                return bad_pattern(pattern);
            }
            i += 2;
        } else if (pattern[i] == '[') {
            i = TRY(match_class(pattern, i + 1, 'x')).next;
        } else {
            ++i;
        }
    }
    return ok();
}

} // namespace

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (true) {
        std::size_t at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(at + 1);
    }
}

std::optional<Cut> cut(std::string_view text, std::string_view separator) {
    std::size_t at = text.find(separator);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    return Cut{text.substr(0, at), text.substr(at + separator.size())};
}

std::optional<Cut> cut_last(std::string_view text, std::string_view separator) {
    std::size_t at = text.rfind(separator);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    return Cut{text.substr(0, at), text.substr(at + separator.size())};
}

std::vector<std::string_view> words(std::string_view text) {
    std::vector<std::string_view> found;
    std::size_t i = 0;
    while (i < text.size()) {
        while (i < text.size() && is_space(text[i])) {
            ++i;
        }
        std::size_t start = i;
        while (i < text.size() && !is_space(text[i])) {
            ++i;
        }
        if (i > start) {
            found.push_back(text.substr(start, i - start));
        }
    }
    return found;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_space(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_space(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
    std::string joined;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i > 0) {
            joined += separator;
        }
        joined += parts[i];
    }
    return joined;
}

std::string to_lower(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), lower);
    return result;
}

std::string to_upper(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), upper);
    return result;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return lower(x) == lower(y);
    });
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
    std::string result;
    while (!from.empty()) {
        std::size_t at = text.find(from);
        if (at == std::string_view::npos) {
            break;
        }
        result += text.substr(0, at);
        result += to;
        text.remove_prefix(at + from.size());
    }
    result += text;
    return result;
}

Result<bool> glob_match(std::string_view pattern, std::string_view text) {
    TRY(check_pattern(pattern));
    // The usual two-pointer walk: on a mismatch, the last '*' swallows one more character.
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t star = std::string_view::npos;
    std::size_t star_text = 0;
    while (t < text.size() || p < pattern.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            star_text = t;
            continue;
        }
        if (p < pattern.size() && t < text.size()) {
            bool matches = false;
            std::size_t next = p + 1;
            if (pattern[p] == '?') {
                matches = text[t] != '/';
            } else if (pattern[p] == '[') {
                ClassMatch found = TRY(match_class(pattern, p + 1, text[t]));
                matches = found.matches && text[t] != '/';
                next = found.next;
            } else {
                if (pattern[p] == '\\') {
                    ++p;
                    next = p + 1;
                }
                matches = pattern[p] == text[t];
            }
            if (matches) {
                p = next;
                ++t;
                continue;
            }
        }
        if (star == std::string_view::npos || star_text >= text.size() || text[star_text] == '/') {
            return false;
        }
        t = ++star_text;
        p = star + 1;
    }
    return true;
}

std::string to_hex(std::string_view bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (char c : bytes) {
        auto byte = static_cast<unsigned char>(c);
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

Result<std::string> from_hex(std::string_view text) {
    auto digit = [](char c) -> int {
        if (c >= '0' && c <= '9') {
            return c - '0';
        }
        char l = lower(c);
        return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
    };
    if (text.size() % 2 != 0) {
        return invalid_argument("hexadecimal text of odd length");
    }
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        int high = digit(text[i]);
        int low = digit(text[i + 1]);
        if (high < 0 || low < 0) {
            return invalid_argument("\"" + std::string(text) + "\" is not hexadecimal");
        }
        bytes += static_cast<char>(high * 16 + low);
    }
    return bytes;
}

std::string clean_path(std::string_view path) {
    bool rooted = !path.empty() && path.front() == '/';
    std::vector<std::string> kept;
    for (std::string_view part : split(path, '/')) {
        if (part.empty() || part == ".") {
            continue;
        }
        const bool up = part == "..";
        if (up && !kept.empty() && kept.back() != "..") {
            kept.pop_back();
        } else if (!up || !rooted) {
            kept.emplace_back(part);
        }
    }
    std::string joined = (rooted ? "/" : "") + join(kept, "/");
    return joined.empty() ? "." : joined;
}

} // namespace berth
