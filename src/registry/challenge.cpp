// SPDX-License-Identifier: Apache-2.0
// A comma separates parameters and challenges alike: a word that no '=' follows is a new scheme.
#include "registry/challenge.h"

#include "base/strings.h"

#include <cstddef>
#include <optional>

namespace berth::registry {

namespace {

constexpr std::size_t challenge_limit = 16;
constexpr std::size_t parameter_limit = 32;

bool is_token_character(char c) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           others.find(c) != std::string_view::npos;
}

class Scanner {
  public:
    explicit Scanner(std::string_view text)
        : text_(text) {}

    bool at_end() const { return position_ == text_.size(); }

    void skip(std::string_view characters) {
        while (!at_end() && characters.find(text_[position_]) != std::string_view::npos) {
            ++position_;
        }
    }

    bool take(char c) {
        if (at_end() || text_[position_] != c) {
            return false;
        }
        ++position_;
        return true;
    }

    std::string_view token() {
        std::size_t start = position_;
        while (!at_end() && is_token_character(text_[position_])) {
            ++position_;
        }
        return text_.substr(start, position_ - start);
    }

    // A token or a quoted string; nullopt when the quotes do not end.
    std::optional<std::string> value() {
        if (!take('"')) {
            return std::string(token());
        }
        std::string value;
        while (!at_end()) {
            char c = text_[position_++];
            if (c == '"') {
                return value;
            }
            if (c == '\\' && !at_end()) {
                c = text_[position_++];
            }
            value += c;
        }
        return std::nullopt;
    }

  private:
    std::string_view text_;
    std::size_t position_ = 0;
};

} // namespace

std::string_view Challenge::get(std::string_view name) const {
    for (const auto& [key, value] : parameters) {
        if (key == name) {
            return value;
        }
    }
    return {};
}

std::vector<Challenge> parse_challenges(std::string_view header) {
    std::vector<Challenge> challenges;
    Scanner scanner(header);
    while (true) {
        scanner.skip(" \t,");
        std::string name = to_lower(scanner.token());
        if (name.empty()) {
            return challenges; // the end, or something that is no challenge
        }
        scanner.skip(" \t");
        if (!scanner.take('=')) {
            if (challenges.size() == challenge_limit) {
                return challenges;
            }
            challenges.push_back({std::move(name), {}});
            continue;
        }
        scanner.skip(" \t");
        std::optional<std::string> value = scanner.value();
        if (!value || challenges.empty()) {
            return challenges;
        }
        if (challenges.back().parameters.size() < parameter_limit) {
            challenges.back().parameters.emplace_back(std::move(name), std::move(*value));
        }
    }
}

} // namespace berth::registry
