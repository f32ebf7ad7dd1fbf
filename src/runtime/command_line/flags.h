// SPDX-License-Identifier: Apache-2.0
// Flags as runc's command line takes them: Go's grammar ("-name value", "--name=value", one or two
// dashes). Known flags of a command may also stand behind its arguments, up to "--".
#pragma once

#include "base/result.h"

#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime::command_line {

enum class FlagKind : std::uint8_t { Switch, Value, Number };

struct FlagSpec {
    std::string_view name;
    std::string_view short_name; // may be empty
    FlagKind kind = FlagKind::Switch;
    std::string_view help = {};
};

// First: the first argument that is no flag ends them (exec and ps, whose arguments have flags of
// their own).
enum class FlagOrder : bool { Anywhere, First };

class Flags {
  public:
    // What is no flag is left in rest().
    static Result<Flags> parse(
        const std::vector<std::string>& arguments,
        std::span<const FlagSpec> specs,
        FlagOrder order = FlagOrder::Anywhere);

    bool is_set(std::string_view name) const;   // and not "false"
    bool is_given(std::string_view name) const; // whatever its value
    // The last value; "" without one.
    std::string value(std::string_view name) const;
    std::vector<std::string> values(std::string_view name) const;
    // Of a FlagKind::Number.
    int number(std::string_view name, int otherwise = 0) const;

    const std::vector<std::string>& rest() const { return rest_; }

    // The first argument that is no flag.
    Result<std::string> container_id() const;

  private:
    Result<bool> take(
        const std::vector<std::string>& arguments,
        std::size_t& position,
        std::span<const FlagSpec> specs,
        FlagOrder order);

    std::map<std::string, std::vector<std::string>, std::less<>> values_;
    std::vector<std::string> rest_;
};

} // namespace berth::runtime::command_line
