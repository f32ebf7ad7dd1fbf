// SPDX-License-Identifier: Apache-2.0
// The loops over a struct's fields, and the scalar types.
#include "base/strings.h"
#include "codec/json.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace berth::json::detail {

namespace {

std::string_view kind_name(const Value& value) {
    switch (value.kind()) {
    case boost::json::kind::null:
        return "null";
    case boost::json::kind::bool_:
        return "a boolean";
    case boost::json::kind::int64:
    case boost::json::kind::uint64:
    case boost::json::kind::double_:
        return "a number";
    case boost::json::kind::string:
        return "a string";
    case boost::json::kind::array:
        return "an array";
    case boost::json::kind::object:
        return "an object";
    }
    return "nothing";
}

std::string path_text(const Path& path) {
    std::string text = path.parent != nullptr ? path_text(*path.parent) : "";
    if (path.is_index) {
        return text + "[" + std::to_string(path.index) + "]";
    }
    if (!text.empty() && !path.name.empty()) {
        text += '.';
    }
    return text + std::string(path.name);
}

const BoundField* find_field(std::span<const BoundField> fields, std::string_view name) {
    const BoundField* similar = nullptr;
    for (const BoundField& field : fields) {
        if (field.name.size() != name.size() || field.presence == Presence::Embedded) {
            continue;
        }
        if (field.name == name) {
            return &field;
        }
        if (similar == nullptr && equals_ignoring_case(field.name, name)) {
            similar = &field;
        }
    }
    return similar;
}

// JSON has one kind of number: 1e9 and 5.0 are integers where they fit exactly.
bool exact_integer(double number) {
    return std::isfinite(number) && std::trunc(number) == number && std::fabs(number) < 0x1p63;
}

} // namespace

Error at_path(const Path& path, Error error) {
    const std::string text = path_text(path);
    return text.empty() ? error : std::move(error).with_context(text);
}

Error type_error(const Path& path, std::string_view expected, const Value& found) {
    return at_path(
        path,
        invalid_argument(
            "expected " + std::string(expected) + ", found " + std::string(kind_name(found))));
}

Error range_error(const Path& path) {
    return at_path(path, invalid_argument("the number is out of range"));
}

Result<void>
decode_fields(const Value& value, std::span<const BoundField> fields, const Path& path) {
    if (value.is_null()) {
        return ok();
    }
    if (!value.is_object()) {
        return type_error(path, "an object", value);
    }
    for (const BoundField& field : fields) {
        if (field.presence == Presence::Embedded) {
            TRY(field.operations->decode(value, field.address, path));
        }
    }
    for (const auto& member : value.get_object()) {
        const std::string_view name(member.key().data(), member.key().size());
        if (const BoundField* field = find_field(fields, name)) {
            TRY(field->operations->decode(
                member.value(), field->address, Path{.parent = &path, .name = field->name}));
        }
    }
    return ok();
}

Value encode_fields(std::span<const BoundField> fields) {
    Object object;
    object.reserve(fields.size());
    for (const BoundField& field : fields) {
        const bool empty =
            field.presence != Presence::Always && field.operations->is_empty(field.address);
        if (field.presence == Presence::OmitEmpty && empty) {
            continue;
        }
        if (field.presence == Presence::NullWhenEmpty && empty) {
            object.emplace(field.name, nullptr);
            continue;
        }
        Value value = field.operations->encode(field.address);
        if (field.presence != Presence::Embedded) {
            object.emplace(field.name, std::move(value));
            continue;
        }
        for (auto& member : value.get_object()) {
            object.emplace(member.key(), std::move(member.value()));
        }
    }
    return object;
}

namespace {

// An embedded struct's members, without its braces.
void write_embedded(const BoundField& field, char& before, std::string& text) {
    std::string object;
    field.operations->write(field.address, object);
    if (object.size() > 2) {
        text += std::exchange(before, ',');
        text.append(object, 1, object.size() - 2);
    }
}

} // namespace

void write_fields(
    std::span<const BoundField> fields,
    std::span<const std::string_view> hidden,
    std::string& text) {
    char before = '{';
    for (const BoundField& field : fields) {
        const bool empty =
            field.presence != Presence::Always && field.operations->is_empty(field.address);
        if ((field.presence == Presence::OmitEmpty && empty) ||
            std::ranges::find(hidden, field.name) != hidden.end()) {
            continue;
        }
        if (field.presence == Presence::Embedded) {
            write_embedded(field, before, text);
            continue;
        }
        text += std::exchange(before, ',');
        text += '"';
        text += field.name; // ours: nothing in it to be escaped
        text += "\":";
        if (empty) {
            text += "null";
        } else {
            field.operations->write(field.address, text);
        }
    }
    text += before == '{' ? "{}" : "}";
}

Result<void> decode_signed(const Value& value, std::int64_t& target, const Path& path) {
    if (value.is_int64()) {
        target = value.get_int64();
    } else if (value.is_double() && exact_integer(value.get_double())) {
        target = static_cast<std::int64_t>(value.get_double());
    } else if (value.is_uint64()) {
        return range_error(path);
    } else {
        return type_error(path, "an integer", value);
    }
    return ok();
}

Result<void> decode_unsigned(const Value& value, std::uint64_t& target, const Path& path) {
    if (value.is_uint64()) {
        target = value.get_uint64();
        return ok();
    }
    std::int64_t number = 0;
    TRY(decode_signed(value, number, path));
    if (number < 0) {
        return range_error(path);
    }
    target = static_cast<std::uint64_t>(number);
    return ok();
}

Result<void> decode_bool(const Value& value, void* target, const Path& path) {
    if (value.is_null()) {
        return ok();
    }
    if (!value.is_bool()) {
        return type_error(path, "a boolean", value);
    }
    *static_cast<bool*>(target) = value.get_bool();
    return ok();
}

Value encode_bool(const void* object) {
    return *static_cast<const bool*>(object);
}

void write_bool(const void* object, std::string& text) {
    text += *static_cast<const bool*>(object) ? "true" : "false";
}

bool is_false(const void* object) {
    return !*static_cast<const bool*>(object);
}

Result<void> decode_double(const Value& value, void* target, const Path& path) {
    if (value.is_null()) {
        return ok();
    }
    if (!value.is_number()) {
        return type_error(path, "a number", value);
    }
    *static_cast<double*>(target) = value.is_double()  ? value.get_double()
                                    : value.is_int64() ? static_cast<double>(value.get_int64())
                                                       : static_cast<double>(value.get_uint64());
    return ok();
}

Value encode_double(const void* object) {
    return *static_cast<const double*>(object);
}

void write_double(const void* object, std::string& text) {
    write_document(encode_double(object), text);
}

bool is_zero_double(const void* object) {
    return std::fpclassify(*static_cast<const double*>(object)) == FP_ZERO;
}

Result<void> decode_string(const Value& value, void* target, const Path& path) {
    if (value.is_null()) {
        return ok();
    }
    if (!value.is_string()) {
        return type_error(path, "a string", value);
    }
    const boost::json::string& text = value.get_string();
    static_cast<std::string*>(target)->assign(text.data(), text.size());
    return ok();
}

Value encode_string(const void* object) {
    const auto& text = *static_cast<const std::string*>(object);
    return boost::json::string(boost::json::string_view(text.data(), text.size()));
}

void write_string(const void* object, std::string& text) {
    write_quoted(*static_cast<const std::string*>(object), text);
}

bool is_empty_string(const void* object) {
    return static_cast<const std::string*>(object)->empty();
}

Result<void> decode_timestamp(const Value& value, void* target, const Path& path) {
    std::string text;
    TRY(decode_string(value, &text, path));
    if (text.empty()) {
        return ok();
    }
    auto time = parse_rfc3339(text);
    if (!time.ok()) {
        return at_path(path, std::move(time).error());
    }
    *static_cast<Timestamp*>(target) = *time;
    return ok();
}

Value encode_timestamp(const void* object) {
    const std::string text = format_rfc3339(*static_cast<const Timestamp*>(object));
    return encode_string(&text);
}

void write_timestamp(const void* object, std::string& text) {
    write_quoted(format_rfc3339(*static_cast<const Timestamp*>(object)), text);
}

bool is_zero_timestamp(const void* object) {
    return static_cast<const Timestamp*>(object)->is_zero();
}

Result<void> decode_value(const Value& value, void* target, const Path&) {
    *static_cast<Value*>(target) = value;
    return ok();
}

Value encode_value(const void* object) {
    return *static_cast<const Value*>(object);
}

void write_value(const void* object, std::string& text) {
    write_document(*static_cast<const Value*>(object), text);
}

bool is_null_value(const void* object) {
    return static_cast<const Value*>(object)->is_null();
}

} // namespace berth::json::detail
