// SPDX-License-Identifier: Apache-2.0
// Options by their names.
#include "base/boolean.h"
#include "engine/daemon_options.h"

#include <algorithm>

namespace berth::engine {
namespace {

template <class Name>
const DaemonOption* find(Name DaemonOption::*member, Name name) {
    const std::span<const DaemonOption> all = daemon_options();
    const auto found = std::ranges::find(all, name, member);
    return found == all.end() ? nullptr : &*found;
}

} // namespace

const DaemonOption* find_option_by_flag(std::string_view flag) {
    return find(&DaemonOption::flag, flag);
}

const DaemonOption* find_option_by_shorthand(char shorthand) {
    return find(&DaemonOption::shorthand, shorthand);
}

const DaemonOption* find_option_by_key(std::string_view key) {
    return key.empty() ? nullptr : find(&DaemonOption::key, key);
}

Result<bool> parse_go_bool(std::string_view text) {
    if (const auto parsed = parse_boolean(text)) {
        return *parsed;
    }
    return invalid_argument(
        "strconv.ParseBool: parsing \"" + std::string(text) + "\": invalid syntax");
}

} // namespace berth::engine
