// SPDX-License-Identifier: Apache-2.0
// JSON documents, and structs described by one table of fields each:
//
//   template <>
//   struct berth::json::Fields<Port> {
//       static constexpr auto table = std::tuple{
//           json::field("IP", &Port::ip, json::OmitEmpty),
//           json::field("PrivatePort", &Port::private_port)};
//   };
//
// Decoding does what Docker's clients expect of Go: unknown names are ignored, names match without
// case, null leaves the member as it is, and a wrong type is InvalidArgument that names the path
// ("HostConfig.Memory: expected an integer, found a string"). Members may be bool, integers,
// double, std::string, Timestamp (RFC 3339), json::Value, std::optional, std::vector,
// std::map<std::string, T>, other structs with a table, and any type with a json::Codec.
// Everything here is stateless and may be called from any thread.
#pragma once

#include "base/result.h"
#include "base/time.h"

#include <boost/json/value.hpp>

#include <array>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace berth::json {

using Value = boost::json::value;
using Object = boost::json::object;
using Array = boost::json::array;

struct ParseLimits {
    std::size_t depth = 64;
    std::size_t bytes = 64U << 20;
};

// One document and nothing after it but white space. InvalidArgument says what is wrong and at
// which byte; ResourceExhausted when a limit is passed.
Result<Value> parse(std::string_view text, ParseLimits limits = {});

std::string serialize(const Value& value);

// Go's json.MarshalIndent: nested by `indent`, "key": value, empty containers as {} and [].
std::string serialize_indented(const Value& value, std::string_view indent);

// The member of an object, or nullptr when value is no object or has no such name (exact case).
const Value* find(const Value& value, std::string_view name);
// The text of find(), or "" when it is absent or no string.
std::string_view find_string(const Value& value, std::string_view name);

enum class Presence : std::uint8_t {
    Always,        // written even when empty
    OmitEmpty,     // Go's omitempty: false, 0, "", absent, no elements are left out
    NullWhenEmpty, // Go's nil slice, map or pointer: null when it has no elements
    Embedded,      // a struct whose members stand in the enclosing object
};

inline constexpr Presence Always = Presence::Always;
inline constexpr Presence OmitEmpty = Presence::OmitEmpty;
inline constexpr Presence NullWhenEmpty = Presence::NullWhenEmpty;

// The table of a struct. Specialise it with `static constexpr auto table = std::tuple{field(…)…}`.
template <class T>
struct Fields;

// How a type without a table is read and written. Specialise it with
//   static Result<T> decode(const Value&);   (never called with null)
//   static Value encode(const T&);
//   static bool is_empty(const T&);          (for OmitEmpty)
template <class T>
struct Codec;

template <class Owner, class Member>
struct Field {
    std::string_view name;
    Member Owner::*member;
    Presence presence;
};

template <class Owner, class Member>
constexpr Field<Owner, Member>
field(std::string_view name, Member Owner::*member, Presence presence = Presence::Always) {
    return {name, member, presence};
}

// Go's embedded struct.
template <class Owner, class Member>
constexpr Field<Owner, Member> embedded(Member Owner::*member) {
    return {"", member, Presence::Embedded};
}

// An object without members, for Go's map[string]struct{}.
struct Empty {
    bool operator==(const Empty&) const = default;
};

template <>
struct Fields<Empty> {
    static constexpr auto table = std::tuple<>{};
};

} // namespace berth::json

#include "codec/json_impl.h"

namespace berth::json {

template <class T>
Result<void> decode_into(T& target, const Value& value) {
    return detail::operations<T>.decode(value, &target, detail::Path{});
}

template <class T>
Result<T> decode(const Value& value) {
    T target{};
    TRY(decode_into(target, value));
    return target;
}

template <class T>
Value encode(const T& object) {
    return detail::operations<T>.encode(&object);
}

template <class T>
Result<T> decode_text(std::string_view text, ParseLimits limits = {}) {
    return decode<T>(TRY(parse(text, limits)));
}

template <class T>
std::string encode_text(const T& object) {
    return serialize(encode(object));
}

} // namespace berth::json
