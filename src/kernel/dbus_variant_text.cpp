// SPDX-License-Identifier: Apache-2.0
// https://docs.gtk.org/glib/gvariant-text-format.html
#include "kernel/dbus_variant_text.h"

#include "base/strings.h"

#include <cmath>
#include <cstdlib>
#include <optional>
#include <type_traits>

namespace berth::kernel {

namespace {

using Value = DbusProperty::Value;
using Pair = std::pair<std::string, std::string>;

constexpr std::pair<std::string_view, std::string_view> type_words[] = {
    {"boolean", "b"},
    {"byte", "y"},
    {"int16", "n"},
    {"uint16", "q"},
    {"int32", "i"},
    {"uint32", "u"},
    {"int64", "x"},
    {"uint64", "t"},
    {"double", "d"},
    {"string", "s"}};

class TextReader {
  public:
    explicit TextReader(std::string_view text)
        : text_(text) {}

    Result<Value> whole() {
        std::string type = TRY(type_prefix());
        if (type.empty()) {
            type = TRY(guessed_type());
        }
        Value value = TRY(value_of(type));
        skip_blanks();
        return text_.empty() ? Result<Value>(std::move(value)) : wrong("unexpected text");
    }

  private:
    Error wrong(std::string_view what) const {
        return invalid_argument(std::string(what) + " at \"" + std::string(text_) + "\"");
    }

    void skip_blanks() {
        std::size_t begin = text_.find_first_not_of(" \t\n");
        text_.remove_prefix(begin == std::string_view::npos ? text_.size() : begin);
    }

    bool accept(char c) {
        skip_blanks();
        if (text_.empty() || text_.front() != c) {
            return false;
        }
        text_.remove_prefix(1);
        return true;
    }

    // What stands before the next blank or sign of an array.
    std::string_view word() {
        skip_blanks();
        std::string_view found = text_.substr(0, text_.find_first_of(" \t\n,[]()'\""));
        text_.remove_prefix(found.size());
        return found;
    }

    // "@as ", "uint64 "; "" without one.
    Result<std::string> type_prefix() {
        if (accept('@')) {
            std::size_t end = text_.find_first_of(" \t\n");
            if (end == std::string_view::npos) {
                return wrong("a type without a value");
            }
            std::string type(text_.substr(0, end));
            text_.remove_prefix(end);
            return type;
        }
        const std::string_view before = text_;
        const std::string_view first = word();
        for (const auto& [name, type] : type_words) {
            if (first == name) {
                return std::string(type);
            }
        }
        text_ = before;
        return std::string();
    }

    Result<std::string> guessed_type() {
        const std::string_view before = text_;
        std::string type;
        if (accept('[')) {
            skip_blanks();
            if (text_.starts_with('(')) {
                type = "a(ss)";
            } else if (text_.empty() || text_.front() == ']') {
                return wrong("an empty array needs a type");
            } else {
                std::string element = TRY(type_prefix());
                type = "a" + (element.empty() ? TRY(guessed_type()) : element);
            }
        } else if (text_.starts_with('\'') || text_.starts_with('"')) {
            type = "s";
        } else if (text_.starts_with("true") || text_.starts_with("false")) {
            type = "b";
        } else {
            const std::string_view number = word();
            const bool is_hexadecimal = number.find('x') != std::string_view::npos;
            type = !is_hexadecimal && number.find_first_of(".eEfn") != std::string_view::npos ? "d"
                                                                                              : "i";
        }
        text_ = before;
        return type;
    }

    Result<Value> value_of(std::string_view type) {
        // clang-format off
        if (type == "b") { return Value(TRY(boolean())); }
        if (type == "y") { return Value(TRY(integer<std::uint8_t>())); }
        if (type == "n") { return Value(TRY(integer<std::int16_t>())); }
        if (type == "q") { return Value(TRY(integer<std::uint16_t>())); }
        if (type == "i") { return Value(TRY(integer<std::int32_t>())); }
        if (type == "u") { return Value(TRY(integer<std::uint32_t>())); }
        if (type == "x") { return Value(TRY(integer<std::int64_t>())); }
        if (type == "t") { return Value(TRY(integer<std::uint64_t>())); }
        if (type == "d") { return Value(TRY(real())); }
        if (type == "s") { return Value(TRY(string())); }
        // clang-format on
        if (type == "as") {
            return Value(TRY(array<std::string>([this] { return string(); })));
        }
        if (type == "ay") {
            return Value(TRY(array<std::uint8_t>([this] { return integer<std::uint8_t>(); })));
        }
        if (type == "au") {
            return Value(TRY(array<std::uint32_t>([this] { return integer<std::uint32_t>(); })));
        }
        if (type == "a(ss)") {
            return Value(TRY(array<Pair>([this] { return pair(); })));
        }
        return not_implemented("values of type \"" + std::string(type) + "\" are not implemented");
    }

    Result<bool> boolean() {
        const std::string_view text = word();
        if (text != "true" && text != "false") {
            return wrong("not a boolean: \"" + std::string(text) + "\"");
        }
        return text == "true";
    }

    // Decimal, 0x… and, with a leading zero, octal, as strtoull(3) reads them.
    template <class Number>
    Result<Number> integer() {
        TRY(type_prefix()); // each element of an array may have it
        const std::string text(word());
        const bool negative = text.starts_with('-');
        const std::string digits = text.substr(negative || text.starts_with('+') ? 1 : 0);
        char* end = nullptr;
        errno = 0;
        const std::uint64_t size = std::strtoull(digits.c_str(), &end, 0);
        const bool is_number = !digits.empty() && digits.front() >= '0' && digits.front() <= '9' &&
                               *end == '\0' && errno == 0;
        if (!is_number) {
            return wrong("not a number: \"" + text + "\"");
        }
        constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<Number>::max());
        if (size > most + (negative && std::is_signed_v<Number> ? 1U : 0U) ||
            (negative && !std::is_signed_v<Number> && size != 0)) {
            return wrong("the number " + text + " is out of range");
        }
        return static_cast<Number>(negative ? 0 - size : size);
    }

    Result<double> real() {
        const std::string text(word());
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        if (text.empty() || *end != '\0') {
            return wrong("not a number: \"" + text + "\"");
        }
        return value;
    }

    Result<std::string> string() {
        skip_blanks();
        if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) {
            return wrong("not a string");
        }
        const char quote = text_.front();
        std::string value;
        for (std::size_t at = 1; at < text_.size(); ++at) {
            char c = text_[at];
            if (c == quote) {
                text_.remove_prefix(at + 1);
                return value;
            }
            if (c == '\\' && at + 1 < text_.size()) {
                c = TRY(escaped(text_[++at]));
            }
            value += c;
        }
        return wrong("a string without an end");
    }

    Result<char> escaped(char c) const {
        constexpr std::string_view names = "abfnrtv\\'\"";
        constexpr std::string_view meant = "\a\b\f\n\r\t\v\\'\"";
        const std::size_t at = names.find(c);
        return at == std::string_view::npos ? Result<char>(wrong("unknown escape sequence"))
                                            : meant[at];
    }

    Result<Pair> pair() {
        if (!accept('(')) {
            return wrong("not a pair");
        }
        std::string first = TRY(string());
        if (!accept(',')) {
            return wrong("not a pair");
        }
        std::string second = TRY(string());
        return accept(')') ? Result<Pair>(Pair(std::move(first), std::move(second)))
                           : wrong("not a pair");
    }

    template <class Element, class Read>
    Result<std::vector<Element>> array(const Read& read) {
        std::vector<Element> list;
        if (!accept('[')) {
            return wrong("not an array");
        }
        if (accept(']')) {
            return list;
        }
        while (true) {
            list.push_back(TRY(read()));
            if (accept(']')) {
                return list;
            }
            if (!accept(',')) {
                return wrong("an array without an end");
            }
        }
    }

    std::string_view text_;
};

} // namespace

Result<Value> parse_variant_text(std::string_view text) {
    TextReader reader(trim(text));
    return reader.whole();
}

} // namespace berth::kernel
