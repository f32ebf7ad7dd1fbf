// SPDX-License-Identifier: Apache-2.0
// D-Bus messages as far as systemd needs them: calls are written, answers and signals are read.
// https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace berth::kernel {

// A name and a value of one of the types that properties of units have.
struct DbusProperty {
    using Value = std::variant<
        bool,                                            // b
        std::uint8_t,                                    // y
        std::int16_t,                                    // n
        std::uint16_t,                                   // q
        std::int32_t,                                    // i
        std::uint32_t,                                   // u
        std::int64_t,                                    // x
        std::uint64_t,                                   // t
        double,                                          // d
        std::string,                                     // s
        std::vector<std::string>,                        // as
        std::vector<std::uint32_t>,                      // au
        std::vector<std::uint8_t>,                       // ay
        std::vector<std::pair<std::string, std::string>> // a(ss)
        >;
    std::string name;
    Value value;
};

class DbusWriter {
  public:
    const std::string& bytes() const { return bytes_; }

    void align(std::size_t boundary);
    void byte(std::uint8_t value);

    void number(std::uint32_t value) { aligned_bytes(value); }

    void number(std::uint64_t value) { aligned_bytes(value); }

    void text(std::string_view value); // strings and object paths
    void signature(std::string_view value);
    // a(sv)
    void properties(const std::vector<DbusProperty>& list);

    // Returns what end_array() wants.
    std::size_t begin_array(std::size_t element_alignment);
    void end_array(std::size_t begin, std::size_t element_alignment);

  private:
    template <class Number>
    void aligned_bytes(Number value) {
        align(sizeof value);
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }

    template <class Number>
    void one(const char* type, Number value) {
        signature(type);
        aligned_bytes(value);
    }

    void variant(const DbusProperty::Value& value);

    std::string bytes_;
};

struct DbusCall {
    std::string destination; // empty on a direct connection
    std::string path;
    std::string interface;
    std::string member;
    std::string signature;
    std::string body;
};

std::string encode_dbus_call(const DbusCall& call, std::uint32_t serial);

enum class DbusKind : std::uint8_t { Call = 1, Return = 2, Error = 3, Signal = 4 };

struct DbusMessage {
    DbusKind kind = DbusKind::Signal;
    std::uint32_t reply_to = 0;
    std::string member;
    std::string error;
    std::string signature;
    std::string body;

    // The strings, object paths and numbers (as decimal text) at the start of the body.
    Result<std::vector<std::string>> values() const;
};

inline constexpr std::size_t dbus_head_size = 16;

// Of the whole message, from its first 16 bytes. ResourceExhausted above 1 MiB.
Result<std::size_t> dbus_message_size(std::string_view head);
Result<DbusMessage> parse_dbus_message(std::string_view bytes);

} // namespace berth::kernel
