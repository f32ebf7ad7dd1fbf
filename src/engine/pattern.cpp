// SPDX-License-Identifier: Apache-2.0
// RE2 has Go's syntax and Go's promise: time linear in the text, memory within a bound.
#include "engine/pattern.h"

#include <re2/re2.h>

#include <algorithm>

namespace berth::engine {
namespace {

constexpr std::int64_t most_memory = 256 << 10; // of one pattern, compiled

RE2::Options pattern_options() {
    RE2::Options options(RE2::Quiet);
    options.set_max_mem(most_memory);
    return options;
}

} // namespace

Result<Pattern> Pattern::compile(std::string_view text) {
    Pattern pattern;
    pattern.compiled_ = std::make_shared<const RE2>(std::string(text), pattern_options());
    if (!pattern.compiled_->ok()) {
        return invalid_argument("error parsing regexp: " + pattern.compiled_->error());
    }
    return pattern;
}

bool Pattern::matches(const std::string& text) const {
    return RE2::PartialMatch(text, *compiled_);
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
