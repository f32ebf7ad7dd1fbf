// SPDX-License-Identifier: Apache-2.0
// Flags as runc's command line takes them: Go's grammar ("-name value", "--name=value", one or two
// dashes), up to the first argument that is no flag.
#pragma once

#include "base/result.h"

#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime::command_line {

enum class FlagKind : bool { Switch, Value };

struct FlagSpec {
    std::string_view name;
    std::string_view short_name; // may be empty
    FlagKind kind = FlagKind::Switch;
};

class Flags {
  public:
    // What follows the flags is left in rest().
    static Result<Flags>
    parse(const std::vector<std::string>& arguments, std::span<const FlagSpec> specs);

    static Result<Flags>
    parse(const std::vector<std::string>& arguments, std::initializer_list<FlagSpec> specs) {
        return parse(arguments, std::span(specs.begin(), specs.size()));
    }

    bool is_set(std::string_view name) const;
    // The last value; "" without one.
    std::string value(std::string_view name) const;
    std::vector<std::string> values(std::string_view name) const;
    Result<int> number(std::string_view name, int otherwise) const;

    const std::vector<std::string>& rest() const { return rest_; }

    // The first argument that is no flag.
    Result<std::string> container_id() const;

  private:
    std::map<std::string, std::vector<std::string>, std::less<>> values_;
    std::vector<std::string> rest_;
};

} // namespace berth::runtime::command_line
