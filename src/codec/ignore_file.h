// SPDX-License-Identifier: Apache-2.0
// .dockerignore: which paths of a build context stay out. Command line and builder both use it.
// As https://github.com/moby/patternmatcher: patterns are relative to the context's root, "**"
// takes any number of directories, "!" takes back what an earlier pattern excluded, the last
// pattern that matches wins, and a pattern that matches a directory matches all below it.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth {

class IgnoreFile {
  public:
    // InvalidArgument names the bad pattern. Comments and empty lines are skipped.
    static Result<IgnoreFile> parse(std::string_view text);
    // The same from lines that are patterns already.
    static Result<IgnoreFile> from_patterns(const std::vector<std::string>& patterns);

    // path: relative, with '/' between components, no "." or ".." in it.
    bool excludes(std::string_view path) const;

    // False when something below an excluded directory may still be taken back, so that it must be
    // walked.
    bool may_skip_directory(std::string_view path) const;

    bool empty() const { return patterns_.empty(); }

  private:
    enum class TokenKind : std::uint8_t {
        Character,   // itself
        One,         // ?  one character but '/'
        Some,        // *  characters but '/'
        Rest,        // ** at the end: anything
        Directories, // ** elsewhere: nothing, or anything that ends with '/'
        Set,         // [a-z], [^x]
    };

    struct Token {
        TokenKind kind = TokenKind::Character;
        char character = '\0';
        bool negated_set = false;
        std::string set; // pairs of first and last
    };

    struct Pattern {
        std::string text; // cleaned, without '!'
        bool negated = false;
        std::vector<Token> tokens;
    };

    Result<void> add(std::string_view pattern);
    static Result<std::vector<Token>> compile(std::string_view text);
    static Result<std::size_t> compile_set(std::string_view text, std::size_t at, Token& token);
    static bool matches(const Pattern& pattern, std::string_view path);

    std::vector<Pattern> patterns_;
};

} // namespace berth
