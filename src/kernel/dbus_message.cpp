// SPDX-License-Identifier: Apache-2.0
// Everything is little endian, as all machines are that this runs on; an answer in the other order
// is refused.
#include "kernel/dbus_message.h"

#include <bit>
#include <cstring>
#include <optional>
#include <type_traits>

namespace berth::kernel {

namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t max_message = 1U << 20;

// Header fields.
constexpr std::uint8_t path_field = 1;
constexpr std::uint8_t interface_field = 2;
constexpr std::uint8_t member_field = 3;
constexpr std::uint8_t error_field = 4;
constexpr std::uint8_t reply_field = 5;
constexpr std::uint8_t destination_field = 6;
constexpr std::uint8_t signature_field = 8;

std::size_t aligned(std::size_t offset, std::size_t boundary) {
    return (offset + boundary - 1) / boundary * boundary;
}

class Reader {
  public:
    explicit Reader(std::string_view bytes)
        : bytes_(bytes) {}

    std::size_t offset() const { return offset_; }

    Result<void> align(std::size_t boundary) {
        offset_ = aligned(offset_, boundary);
        return offset_ <= bytes_.size() ? ok() : Result<void>(cut_short());
    }

    Result<std::string_view> take(std::size_t size) {
        if (size > bytes_.size() - offset_) {
            return cut_short();
        }
        std::string_view taken = bytes_.substr(offset_, size);
        offset_ += size;
        return taken;
    }

    template <class Number>
    Result<Number> number() {
        TRY(align(sizeof(Number)));
        std::string_view bytes = TRY(take(sizeof(Number)));
        Number value{};
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }

    Result<std::string> text() {
        auto size = TRY(number<std::uint32_t>());
        return terminated(size);
    }

    Result<std::string> signature() {
        auto size = TRY(number<std::uint8_t>());
        return terminated(size);
    }

    // One value of a basic type.
    Result<std::string> value(char type) {
        switch (type) {
        case 's':
        case 'o':
            return text();
        case 'g':
            return signature();
        case 'y':
            return std::to_string(TRY(number<std::uint8_t>()));
        case 'b':
        case 'u':
        case 'h':
            return std::to_string(TRY(number<std::uint32_t>()));
        case 't':
            return std::to_string(TRY(number<std::uint64_t>()));
        default:
            return not_implemented("D-Bus value of type " + std::string(1, type));
        }
    }

  private:
    static Error cut_short() { return Error(ErrorKind::DataLoss, "D-Bus message is cut short"); }

    Result<std::string> terminated(std::size_t size) {
        std::string value(TRY(take(size)));
        TRY(take(1));
        return value;
    }

    std::string_view bytes_;
    std::size_t offset_ = 0;
};

constexpr const char* type_of(std::uint8_t) {
    return "y";
}

constexpr const char* type_of(std::int16_t) {
    return "n";
}

constexpr const char* type_of(std::uint16_t) {
    return "q";
}

constexpr const char* type_of(std::int32_t) {
    return "i";
}

constexpr const char* type_of(std::uint32_t) {
    return "u";
}

constexpr const char* type_of(std::int64_t) {
    return "x";
}

constexpr const char* type_of(std::uint64_t) {
    return "t";
}

constexpr const char* type_of(double) {
    return "d";
}

void add_field(DbusWriter& head, std::uint8_t code, char type, const std::string& value) {
    if (value.empty()) {
        return;
    }
    head.align(8);
    head.byte(code);
    head.signature(std::string(1, type));
    if (type == 'g') {
        head.signature(value);
    } else {
        head.text(value);
    }
}

} // namespace

void DbusWriter::align(std::size_t boundary) {
    bytes_.resize(aligned(bytes_.size(), boundary));
}

void DbusWriter::byte(std::uint8_t value) {
    bytes_ += static_cast<char>(value);
}

void DbusWriter::text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    bytes_.append(value);
    bytes_ += '\0';
}

void DbusWriter::signature(std::string_view value) {
    byte(static_cast<std::uint8_t>(value.size()));
    bytes_.append(value);
    bytes_ += '\0';
}

// The length does not count the padding before the first element.
std::size_t DbusWriter::begin_array(std::size_t element_alignment) {
    number(std::uint32_t{0});
    std::size_t length_at = bytes_.size() - sizeof(std::uint32_t);
    align(element_alignment);
    return length_at;
}

void DbusWriter::end_array(std::size_t begin, std::size_t element_alignment) {
    std::size_t first = aligned(begin + sizeof(std::uint32_t), element_alignment);
    auto length = static_cast<std::uint32_t>(bytes_.size() - first);
    std::memcpy(bytes_.data() + begin, &length, sizeof length);
}

void DbusWriter::variant(const DbusProperty::Value& value) {
    std::visit(
        [this](const auto& held) {
            using Held = std::decay_t<decltype(held)>;
            if constexpr (std::is_same_v<Held, bool>) {
                signature("b");
                number(std::uint32_t{held});
            } else if constexpr (std::is_arithmetic_v<Held>) {
                one(type_of(Held{}), held);
            } else if constexpr (std::is_same_v<Held, std::string>) {
                signature("s");
                text(held);
            } else if constexpr (std::is_same_v<Held, std::vector<std::string>>) {
                signature("as");
                std::size_t begin = begin_array(4);
                for (const std::string& entry : held) {
                    text(entry);
                }
                end_array(begin, 4);
            } else if constexpr (std::is_same_v<Held, std::vector<std::uint32_t>>) {
                signature("au");
                std::size_t begin = begin_array(4);
                for (std::uint32_t entry : held) {
                    number(entry);
                }
                end_array(begin, 4);
            } else if constexpr (std::is_same_v<Held, std::vector<std::uint8_t>>) {
                signature("ay");
                std::size_t begin = begin_array(1);
                for (std::uint8_t entry : held) {
                    byte(entry);
                }
                end_array(begin, 1);
            } else {
                signature("a(ss)");
                std::size_t begin = begin_array(8);
                for (const auto& [first, second] : held) {
                    align(8);
                    text(first);
                    text(second);
                }
                end_array(begin, 8);
            }
        },
        value);
}

void DbusWriter::properties(const std::vector<DbusProperty>& list) {
    std::size_t begin = begin_array(8);
    for (const DbusProperty& property : list) {
        align(8);
        text(property.name);
        variant(property.value);
    }
    end_array(begin, 8);
}

std::string encode_dbus_call(const DbusCall& call, std::uint32_t serial) {
    DbusWriter head;
    head.byte('l');
    head.byte(static_cast<std::uint8_t>(DbusKind::Call));
    head.byte(0); // flags
    head.byte(1); // version
    head.number(static_cast<std::uint32_t>(call.body.size()));
    head.number(serial);
    std::size_t fields = head.begin_array(8);
    add_field(head, path_field, 'o', call.path);
    add_field(head, interface_field, 's', call.interface);
    add_field(head, member_field, 's', call.member);
    add_field(head, destination_field, 's', call.destination);
    add_field(head, signature_field, 'g', call.signature);
    head.end_array(fields, 8);
    head.align(8);
    return head.bytes() + call.body;
}

Result<std::size_t> dbus_message_size(std::string_view head) {
    Reader reader(head);
    std::string_view start = TRY(reader.take(4));
    if (start[0] != 'l' || start[3] != 1) {
        return Error(ErrorKind::DataLoss, "not a little endian D-Bus message of version 1");
    }
    std::size_t body = TRY(reader.number<std::uint32_t>());
    TRY(reader.number<std::uint32_t>());
    std::size_t fields = TRY(reader.number<std::uint32_t>());
    if (body > max_message || fields > max_message) {
        return Error(ErrorKind::ResourceExhausted, "a D-Bus message is larger than 1 MiB");
    }
    return aligned(dbus_head_size + fields, 8) + body;
}

Result<DbusMessage> parse_dbus_message(std::string_view bytes) {
    std::size_t size = TRY(dbus_message_size(bytes));
    Reader reader(bytes);
    std::string_view start = TRY(reader.take(4));
    DbusMessage message;
    message.kind = static_cast<DbusKind>(start[1]);
    std::size_t body = TRY(reader.number<std::uint32_t>());
    TRY(reader.number<std::uint32_t>());
    std::size_t end = TRY(reader.number<std::uint32_t>()) + dbus_head_size;
    while (reader.offset() < end) {
        TRY(reader.align(8));
        auto code = TRY(reader.number<std::uint8_t>());
        std::string type = TRY(reader.signature());
        std::string value = TRY(reader.value(type.size() == 1 ? type[0] : '?'));
        if (code == member_field) {
            message.member = std::move(value);
        } else if (code == error_field) {
            message.error = std::move(value);
        } else if (code == signature_field) {
            message.signature = std::move(value);
        } else if (code == reply_field) {
            message.reply_to = static_cast<std::uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
        }
    }
    TRY(reader.align(8));
    message.body = std::string(TRY(reader.take(body)));
    return reader.offset() == size ? Result<DbusMessage>(std::move(message))
                                   : Error(ErrorKind::DataLoss, "a D-Bus message has a wrong size");
}

Result<std::vector<std::string>> DbusMessage::values() const {
    Reader reader(body);
    std::vector<std::string> list;
    for (char type : signature) {
        list.push_back(TRY(reader.value(type)));
    }
    return list;
}

} // namespace berth::kernel
