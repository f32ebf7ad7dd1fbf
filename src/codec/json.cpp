// SPDX-License-Identifier: Apache-2.0
// Text to values and back. The only file that compiles Boost.JSON's parser and serializer.
#include "codec/json.h"

#include "base/verify.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace berth::json {

namespace detail {

namespace {

bool is_escaped(char character) {
    return static_cast<unsigned char>(character) < 0x20 || character == '"' || character == '\\';
}

// Eight bytes at a time: is_escaped() for one of them. A byte less than n leaves its high bit set
// when n is taken from it.
bool one_is_escaped(const char* bytes) {
    constexpr std::uint64_t ones = ~0ULL / 255;
    constexpr std::uint64_t high = ones * 0x80;
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    const std::uint64_t quote = word ^ (ones * '"');
    const std::uint64_t backslash = word ^ (ones * '\\');
    return ((((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
             ((backslash - ones) & ~backslash)) &
            high) != 0;
}

// How many bytes stand for themselves.
std::size_t plain_length(std::string_view value) {
    std::size_t at = 0;
    while (value.size() - at >= sizeof(std::uint64_t) && !one_is_escaped(value.data() + at)) {
        at += sizeof(std::uint64_t);
    }
    while (at < value.size() && !is_escaped(value[at])) {
        ++at;
    }
    return at;
}

void write_escaped(char character, std::string& text) {
    constexpr std::string_view hex = "0123456789abcdef";
    constexpr std::string_view plain = "\"\\\b\f\n\r\t";
    constexpr std::string_view short_form = "\"\\bfnrt";
    text += '\\';
    if (const std::size_t place = plain.find(character); place != std::string_view::npos) {
        text += short_form[place];
        return;
    }
    const auto code = static_cast<unsigned char>(character);
    text += "u00";
    text += hex[code >> 4U];
    text += hex[code & 15U];
}

} // namespace

void write_quoted(std::string_view value, std::string& text) {
    text += '"';
    while (true) {
        const std::size_t plain = plain_length(value);
        text.append(value.substr(0, plain));
        if (plain == value.size()) {
            break;
        }
        write_escaped(value[plain], text);
        value.remove_prefix(plain + 1);
    }
    text += '"';
}

void write_document(const Value& value, std::string& text) {
    text += boost::json::serialize(value);
}

} // namespace detail

namespace {

Error limit_error(const char* what, std::size_t limit) {
    return {
        ErrorKind::ResourceExhausted,
        std::string("JSON document exceeds the limit of ") + std::to_string(limit) + " " + what};
}

// Both counted from one, the column in bytes.
Error syntax_error(std::string_view text, std::size_t offset, const std::string& what) {
    std::string_view before = text.substr(0, offset);
    auto lines = std::count(before.begin(), before.end(), '\n');
    std::size_t line_start = before.rfind('\n') + 1; // npos + 1 is 0
    return invalid_argument(
        "invalid JSON at line " + std::to_string(lines + 1) + ", column " +
        std::to_string(offset - line_start + 1) + ": " + what);
}

void append_indented(
    std::string& out, const Value& value, std::string_view indent, std::size_t depth);

void append_line(std::string& out, std::string_view indent, std::size_t depth) {
    out += '\n';
    for (std::size_t i = 0; i < depth; ++i) {
        out += indent;
    }
}

void append_object(
    std::string& out, const Object& object, std::string_view indent, std::size_t depth) {
    bool first = true;
    out += '{';
    for (const auto& member : object) {
        if (!first) {
            out += ',';
        }
        first = false;
        append_line(out, indent, depth + 1);
        detail::write_quoted(std::string_view(member.key().data(), member.key().size()), out);
        out += ": ";
        append_indented(out, member.value(), indent, depth + 1);
    }
    append_line(out, indent, depth);
    out += '}';
}

void append_array(
    std::string& out, const Array& array, std::string_view indent, std::size_t depth) {
    bool first = true;
    out += '[';
    for (const Value& element : array) {
        if (!first) {
            out += ',';
        }
        first = false;
        append_line(out, indent, depth + 1);
        append_indented(out, element, indent, depth + 1);
    }
    append_line(out, indent, depth);
    out += ']';
}

void append_indented(
    std::string& out, const Value& value, std::string_view indent, std::size_t depth) {
    if (value.is_object() && !value.get_object().empty()) {
        append_object(out, value.get_object(), indent, depth);
    } else if (value.is_array() && !value.get_array().empty()) {
        append_array(out, value.get_array(), indent, depth);
    } else {
        out += json::serialize(value);
    }
}

// 1e999 becomes infinity in the parser, which JSON cannot say.
bool is_finite(const Value& value) {
    if (value.is_double()) {
        return std::isfinite(value.get_double());
    }
    if (value.is_array()) {
        const Array& array = value.get_array();
        return std::all_of(array.begin(), array.end(), is_finite);
    }
    if (value.is_object()) {
        const Object& object = value.get_object();
        return std::all_of(object.begin(), object.end(), [](const auto& member) {
            return is_finite(member.value());
        });
    }
    return true;
}

} // namespace

Result<Value> parse(std::string_view text, ParseLimits limits) {
    if (text.size() > limits.bytes) {
        return limit_error("bytes", limits.bytes);
    }
    boost::json::parse_options options;
    options.max_depth = limits.depth;
    try {
        boost::json::stream_parser parser({}, options);
        boost::json::error_code error;
        const std::size_t used = parser.write_some(text.data(), text.size(), error);
        // A number at the top ends only with the text; finish() after anything else is an error.
        if (!error && !parser.done()) {
            parser.finish(error);
        }
        if (error == boost::json::error::too_deep) {
            return limit_error("levels", limits.depth);
        }
        if (error) {
            return syntax_error(text, used, error.message());
        }
        if (std::size_t extra = text.find_first_not_of(" \t\r\n", used);
            extra != std::string_view::npos) {
            return syntax_error(text, extra, "extra data after the document");
        }
        Value value = parser.release();
        if (!is_finite(value)) {
            return invalid_argument("invalid JSON: a number is out of range");
        }
        return value;
    } catch (const std::exception& error) {
        return invalid_argument(std::string("invalid JSON: ") + error.what());
    }
}

std::string serialize(const Value& value) {
    return boost::json::serialize(value);
}

std::string serialize_indented(const Value& value, std::string_view indent) {
    std::string out;
    append_indented(out, value, indent, 0);
    return out;
}

Value Codec<Raw>::encode(const Raw& raw) {
    auto document = parse(raw.text);
    VERIFY(document.ok());
    return std::move(document).value();
}

const Value* find(const Value& value, std::string_view name) {
    if (!value.is_object()) {
        return nullptr;
    }
    return value.get_object().if_contains(boost::json::string_view(name.data(), name.size()));
}

std::string_view find_string(const Value& value, std::string_view name) {
    const Value* member = find(value, name);
    if (member == nullptr || !member->is_string()) {
        return {};
    }
    const boost::json::string& text = member->get_string();
    return {text.data(), text.size()};
}

} // namespace berth::json
