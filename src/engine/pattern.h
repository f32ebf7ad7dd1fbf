// SPDX-License-Identifier: Apache-2.0
// The regular expressions of clients, which Docker gives to Go's regexp: names in filters, names of
// labels and variables in logs.
#pragma once

#include "base/result.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace berth::engine {

class Pattern {
  public:
    // InvalidArgument for what is none, and for what would take the engine's memory: a thousand
    // repetitions, more than some thousand characters.
    static Result<Pattern> compile(std::string_view text);

    // Anywhere in the text, where the pattern has no ^ and $.
    bool matches(const std::string& text) const;

  private:
    std::shared_ptr<const re2::RE2> compiled_;
};

// The names that a filter asks for. As in Docker's filters.Args.Match, each is a name or a pattern,
// and what is no pattern matches the name of the same letters alone. None asked for match all.
class NamePatterns {
  public:
    NamePatterns() = default;

    explicit NamePatterns(const std::vector<std::string>& names);

    bool match(const std::string& name) const;

  private:
    std::vector<std::string> names_;
    std::vector<Pattern> patterns_;
};

} // namespace berth::engine
