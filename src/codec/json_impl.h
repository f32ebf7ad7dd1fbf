// SPDX-License-Identifier: Apache-2.0
// The machinery behind json::decode, encode and append_text. Each type has one table of four
// function pointers; a struct only lists its members' addresses and tables, and the loops over them
// are ordinary functions in json_table.cpp. So a new struct costs the compiler next to nothing.
#pragma once

#include "base/time.h"
#include "codec/json_fields.h"

#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace berth::json::detail {

// Where in the document we are; a chain on the stack, written out only for an error.
struct Path {
    const Path* parent = nullptr;
    std::string_view name;
    std::size_t index = 0;
    bool is_index = false;
};

Error type_error(const Path& path, std::string_view expected, const Value& found);
Error at_path(const Path& path, Error error);

struct Operations {
    // Null leaves the target unchanged.
    Result<void> (*decode)(const Value& value, void* target, const Path& path);
    Value (*encode)(const void* object);
    // The text of what encode() gives, behind what is there.
    void (*write)(const void* object, std::string& text);
    bool (*is_empty)(const void* object);
};

struct BoundField {
    std::string_view name;
    Presence presence;
    const Operations* operations;
    void* address;
};

Result<void>
decode_fields(const Value& value, std::span<const BoundField> fields, const Path& path);
Value encode_fields(std::span<const BoundField> fields);
void write_fields(
    std::span<const BoundField> fields,
    std::span<const std::string_view> hidden,
    std::string& text);

void write_document(const Value& value, std::string& text);
// As Boost.JSON writes it: only what must be is escaped.
void write_quoted(std::string_view value, std::string& text);

// Go's omitempty never omits a struct.
inline bool never_empty(const void*) {
    return false;
}

template <class T>
struct Select;

template <class T>
inline constexpr Operations operations = Select<T>::operations;

// ---- scalars: one definition each in json_table.cpp ----

Result<void> decode_signed(const Value&, std::int64_t& target, const Path&);
Result<void> decode_unsigned(const Value&, std::uint64_t& target, const Path&);
Error range_error(const Path& path);

template <class T>
Result<void> decode_integer(const Value& value, void* target, const Path& path) {
    using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
    if (value.is_null()) {
        return ok();
    }
    Wide wide{};
    if constexpr (std::is_signed_v<T>) {
        TRY(decode_signed(value, wide, path));
    } else {
        TRY(decode_unsigned(value, wide, path));
    }
    if (!std::in_range<T>(wide)) {
        return range_error(path);
    }
    *static_cast<T*>(target) = static_cast<T>(wide);
    return ok();
}

template <class T>
Value encode_integer(const void* object) {
    using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
    return Value(static_cast<Wide>(*static_cast<const T*>(object)));
}

template <class T>
void write_integer(const void* object, std::string& text) {
    std::array<char, std::numeric_limits<T>::digits10 + 3> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), *static_cast<const T*>(object));
    text.append(digits.begin(), end.ptr);
}

// ---- generic shapes ----

template <class T>
concept HasCodec = requires(const Value& value) {
    Codec<T>::decode(value);
};

template <class T>
concept HasWriter = requires(const T& object, std::string& text) {
    Codec<T>::write(object, text);
};

template <class T>
concept HasTable = requires {
    Fields<T>::table;
};

template <class T>
auto bind_fields(T& object) {
    return std::apply(
        [&object](const auto&... fields) {
            return std::array<BoundField, sizeof...(fields)>{BoundField{
                fields.name,
                fields.presence,
                &operations<std::remove_reference_t<decltype(object.*(fields.member))>>,
                &(object.*(fields.member))}...};
        },
        Fields<T>::table);
}

template <class T>
struct TableOperations {
    static Result<void> decode(const Value& value, void* target, const Path& path) {
        return decode_fields(value, bind_fields(*static_cast<T*>(target)), path);
    }

    static Value encode(const void* object) {
        // The bound addresses are only read; one table serves both directions.
        return encode_fields(bind_fields(*static_cast<T*>(const_cast<void*>(object))));
    }

    static void write(const void* object, std::string& text) {
        write_fields(bind_fields(*static_cast<T*>(const_cast<void*>(object))), {}, text);
    }
};

template <class T>
struct CodecOperations {
    static Result<void> decode(const Value& value, void* target, const Path& path) {
        if (value.is_null()) {
            return ok();
        }
        auto decoded = Codec<T>::decode(value);
        if (!decoded.ok()) {
            return at_path(path, std::move(decoded).error());
        }
        *static_cast<T*>(target) = std::move(decoded).value();
        return ok();
    }

    static Value encode(const void* object) {
        return Codec<T>::encode(*static_cast<const T*>(object));
    }

    static void write(const void* object, std::string& text) {
        if constexpr (HasWriter<T>) {
            Codec<T>::write(*static_cast<const T*>(object), text);
        } else {
            write_document(encode(object), text);
        }
    }

    static bool is_empty(const void* object) {
        return Codec<T>::is_empty(*static_cast<const T*>(object));
    }
};

// ---- which operations a type has ----

template <class T>
requires HasTable<T>

struct Select<T> {
    static constexpr Operations operations{
        TableOperations<T>::decode,
        TableOperations<T>::encode,
        TableOperations<T>::write,
        never_empty};
};

template <class T>
requires HasCodec<T>

struct Select<T> {
    static constexpr Operations operations{
        CodecOperations<T>::decode,
        CodecOperations<T>::encode,
        CodecOperations<T>::write,
        CodecOperations<T>::is_empty};
};

template <std::integral T>
struct Select<T> {
    static bool is_zero(const void* object) { return *static_cast<const T*>(object) == 0; }

    static constexpr Operations operations{
        decode_integer<T>, encode_integer<T>, write_integer<T>, is_zero};
};

Result<void> decode_bool(const Value&, void*, const Path&);
Value encode_bool(const void*);
void write_bool(const void*, std::string&);
bool is_false(const void*);
Result<void> decode_double(const Value&, void*, const Path&);
Value encode_double(const void*);
void write_double(const void*, std::string&);
bool is_zero_double(const void*);
Result<void> decode_string(const Value&, void*, const Path&);
Value encode_string(const void*);
void write_string(const void*, std::string&);
bool is_empty_string(const void*);
Result<void> decode_timestamp(const Value&, void*, const Path&);
Value encode_timestamp(const void*);
void write_timestamp(const void*, std::string&);
bool is_zero_timestamp(const void*);
Result<void> decode_value(const Value&, void*, const Path&);
Value encode_value(const void*);
void write_value(const void*, std::string&);
bool is_null_value(const void*);

template <>
struct Select<bool> {
    static constexpr Operations operations{decode_bool, encode_bool, write_bool, is_false};
};

template <>
struct Select<double> {
    static constexpr Operations operations{
        decode_double, encode_double, write_double, is_zero_double};
};

template <>
struct Select<std::string> {
    static constexpr Operations operations{
        decode_string, encode_string, write_string, is_empty_string};
};

template <>
struct Select<Timestamp> {
    static constexpr Operations operations{
        decode_timestamp, encode_timestamp, write_timestamp, is_zero_timestamp};
};

template <>
struct Select<Value> {
    static constexpr Operations operations{decode_value, encode_value, write_value, is_null_value};
};

} // namespace berth::json::detail

#include "codec/json_shapes.h"
