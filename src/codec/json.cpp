// SPDX-License-Identifier: Apache-2.0
// Text to values and back. The only file that compiles Boost.JSON's parser and serializer.
#include "codec/json.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>

#include <algorithm>
#include <cmath>

namespace berth::json {

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

std::string quote(std::string_view text) {
    return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
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
        out += quote(std::string_view(member.key().data(), member.key().size()));
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
