// SPDX-License-Identifier: Apache-2.0
// Header fields of a message: names match without case, order and repetitions are kept.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::http {

class Headers {
  public:
    struct Field {
        std::string name;
        std::string value;
    };

    Headers() = default;

    Headers(std::initializer_list<Field> fields)
        : fields_(fields) {}

    // The first value of that name, or "" when there is none.
    std::string_view get(std::string_view name) const;
    std::optional<std::string_view> find(std::string_view name) const;
    std::vector<std::string_view> get_all(std::string_view name) const;

    bool contains(std::string_view name) const { return find(name).has_value(); }

    // True when a comma-separated list under that name has the token ("Connection", "close").
    bool has_token(std::string_view name, std::string_view token) const;

    void add(std::string name, std::string value);
    // Replaces every field of that name.
    void set(std::string_view name, std::string value);
    void remove(std::string_view name);

    bool empty() const { return fields_.empty(); }

    std::size_t size() const { return fields_.size(); }

    auto begin() const { return fields_.begin(); }

    auto end() const { return fields_.end(); }

  private:
    std::vector<Field> fields_;
};

} // namespace berth::http
