// SPDX-License-Identifier: Apache-2.0
// Parsing of one command's flags.
#include "runtime/command_line/flags.h"

#include "base/strings.h"

namespace berth::runtime::command_line {

Result<Flags>
Flags::parse(const std::vector<std::string>& arguments, std::span<const FlagSpec> specs) {
    Flags flags;
    std::size_t i = 0;
    for (; i < arguments.size(); ++i) {
        std::string_view argument = arguments[i];
        if (argument == "--") {
            ++i;
            break;
        }
        if (argument.size() < 2 || argument[0] != '-') {
            break;
        }
        std::string_view name = argument.substr(argument.starts_with("--") ? 2 : 1);
        std::optional<Cut> assigned = cut(name, "=");
        if (assigned) {
            name = assigned->before;
        }
        const FlagSpec* found = nullptr;
        for (const FlagSpec& spec : specs) {
            if (spec.name == name || (!spec.short_name.empty() && spec.short_name == name)) {
                found = &spec;
            }
        }
        if (found == nullptr) {
            return invalid_argument("flag provided but not defined: " + std::string(arguments[i]));
        }
        std::vector<std::string>& values = flags.values_[std::string(found->name)];
        if (assigned) {
            values.emplace_back(assigned->after);
        } else if (found->kind == FlagKind::Switch) {
            values.emplace_back("true");
        } else if (++i < arguments.size()) {
            values.push_back(arguments[i]);
        } else {
            return invalid_argument("flag needs an argument: " + std::string(argument));
        }
    }
    flags.rest_.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
    return flags;
}

bool Flags::is_set(std::string_view name) const {
    auto found = values_.find(name);
    return found != values_.end() && found->second.back() != "false";
}

std::string Flags::value(std::string_view name) const {
    auto found = values_.find(name);
    return found == values_.end() ? std::string() : found->second.back();
}

std::vector<std::string> Flags::values(std::string_view name) const {
    auto found = values_.find(name);
    return found == values_.end() ? std::vector<std::string>() : found->second;
}

Result<int> Flags::number(std::string_view name, int otherwise) const {
    std::string text = value(name);
    if (text.empty()) {
        return otherwise;
    }
    return TRY_CONTEXT(parse_number<int>(text), "--" + std::string(name));
}

Result<std::string> Flags::container_id() const {
    if (rest_.empty() || rest_[0].empty()) {
        return invalid_argument("container id cannot be empty");
    }
    return rest_[0];
}

} // namespace berth::runtime::command_line
