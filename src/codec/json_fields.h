// SPDX-License-Identifier: Apache-2.0
// The words of a struct's table; codec/json.h tells how they are used.
#pragma once

#include "base/result.h"

#include <boost/json/value.hpp>

#include <cstdint>
#include <string_view>
#include <tuple>

namespace berth::json {

using Value = boost::json::value;
using Object = boost::json::object;
using Array = boost::json::array;

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
// and, where the document is not worth its time,
//   static void write(const T&, std::string& text);   (the text of what encode gives)
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
