// SPDX-License-Identifier: Apache-2.0
// How optionals, vectors and maps are read and written; see json_impl.h.
#pragma once

#include "codec/json_impl.h"

#include <utility>

namespace berth::json::detail {

template <class T>
struct OptionalOperations {
    using Element = typename T::value_type;

    static Result<void> decode(const Value& value, void* target, const Path& path) {
        auto& optional = *static_cast<T*>(target);
        if (value.is_null()) {
            optional.reset();
            return ok();
        }
        return operations<Element>.decode(value, &optional.emplace(), path);
    }

    static Value encode(const void* object) {
        const auto& optional = *static_cast<const T*>(object);
        return optional ? operations<Element>.encode(&*optional) : Value(nullptr);
    }

    static void write(const void* object, std::string& text) {
        const auto& optional = *static_cast<const T*>(object);
        if (optional) {
            operations<Element>.write(&*optional, text);
        } else {
            text += "null";
        }
    }

    static bool is_empty(const void* object) { return !static_cast<const T*>(object)->has_value(); }
};

// An array's elements are replaced, never merged.
template <class T>
struct VectorOperations {
    using Element = typename T::value_type;

    static Result<void> decode(const Value& value, void* target, const Path& path) {
        if (value.is_null()) {
            return ok();
        }
        if (!value.is_array()) {
            return type_error(path, "an array", value);
        }
        const Array& array = value.get_array();
        auto& vector = *static_cast<T*>(target);
        vector.clear();
        vector.reserve(array.size());
        for (std::size_t i = 0; i < array.size(); ++i) {
            Element element{};
            TRY(operations<Element>.decode(
                array[i],
                &element,
                Path{.parent = &path, .name = {}, .index = i, .is_index = true}));
            vector.push_back(std::move(element));
        }
        return ok();
    }

    static Value encode(const void* object) {
        const auto& vector = *static_cast<const T*>(object);
        Array array;
        array.reserve(vector.size());
        for (const Element& element : vector) {
            array.push_back(operations<Element>.encode(&element));
        }
        return array;
    }

    static void write(const void* object, std::string& text) {
        char before = '[';
        for (const Element& element : *static_cast<const T*>(object)) {
            text += std::exchange(before, ',');
            operations<Element>.write(&element, text);
        }
        text += before == '[' ? "[]" : "]";
    }

    static bool is_empty(const void* object) { return static_cast<const T*>(object)->empty(); }
};

template <class T>
struct MapOperations {
    using Element = typename T::mapped_type;

    static Result<void> decode(const Value& value, void* target, const Path& path) {
        if (value.is_null()) {
            return ok();
        }
        if (!value.is_object()) {
            return type_error(path, "an object", value);
        }
        auto& map = *static_cast<T*>(target);
        map.clear();
        for (const auto& member : value.get_object()) {
            const std::string_view key(member.key().data(), member.key().size());
            TRY(operations<Element>.decode(
                member.value(), &map[std::string(key)], Path{.parent = &path, .name = key}));
        }
        return ok();
    }

    static Value encode(const void* object) {
        Object result;
        for (const auto& [key, element] : *static_cast<const T*>(object)) {
            result.emplace(key, operations<Element>.encode(&element));
        }
        return result;
    }

    static void write(const void* object, std::string& text) {
        char before = '{';
        for (const auto& [key, element] : *static_cast<const T*>(object)) {
            text += std::exchange(before, ',');
            write_quoted(key, text);
            text += ':';
            operations<Element>.write(&element, text);
        }
        text += before == '{' ? "{}" : "}";
    }

    static bool is_empty(const void* object) { return static_cast<const T*>(object)->empty(); }
};

template <class T>
struct Select<std::optional<T>> {
    static constexpr Operations operations{
        OptionalOperations<std::optional<T>>::decode,
        OptionalOperations<std::optional<T>>::encode,
        OptionalOperations<std::optional<T>>::write,
        OptionalOperations<std::optional<T>>::is_empty};
};

template <class T>
struct Select<std::vector<T>> {
    static constexpr Operations operations{
        VectorOperations<std::vector<T>>::decode,
        VectorOperations<std::vector<T>>::encode,
        VectorOperations<std::vector<T>>::write,
        VectorOperations<std::vector<T>>::is_empty};
};

template <class T, class Compare>
struct Select<std::map<std::string, T, Compare>> {
    using Map = std::map<std::string, T, Compare>;
    static constexpr Operations operations{
        MapOperations<Map>::decode,
        MapOperations<Map>::encode,
        MapOperations<Map>::write,
        MapOperations<Map>::is_empty};
};

} // namespace berth::json::detail
