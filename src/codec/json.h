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
#include "codec/json_fields.h"
#include "codec/json_impl.h"

#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace berth::json {

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

// The text of encode(), without the document: a third of its time.
template <class T>
void append_text(std::string& text, const T& object) {
    detail::operations<T>.write(&object, text);
}

// Without the members of these names, of a struct that has a table.
template <class T>
void append_text_without(
    std::string& text, const T& object, std::span<const std::string_view> hidden) {
    detail::write_fields(detail::bind_fields(const_cast<T&>(object)), hidden, text);
}

// Go's json.RawMessage: a member whose text is there already. It must be JSON.
struct Raw {
    std::string text = "null";
};

template <>
struct Codec<Raw> {
    static Result<Raw> decode(const Value& value) { return Raw{serialize(value)}; }

    static Value encode(const Raw& raw);

    static void write(const Raw& raw, std::string& text) { text += raw.text; }

    static bool is_empty(const Raw& raw) { return raw.text == "null"; }
};

template <class T>
std::string encode_text(const T& object) {
    std::string text;
    append_text(text, object);
    return text;
}

} // namespace berth::json
