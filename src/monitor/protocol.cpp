// SPDX-License-Identifier: Apache-2.0
// Bodies of messages: integers little-endian, texts behind their length in four bytes, in the order
// of the structs' members. One list of fields per message serves both directions.
#include "monitor/protocol.h"

#include <type_traits>
#include <utility>

namespace berth::monitor {
namespace {

// Types on the wire: requests count from 1, notices from 65, in the order of the variants.
constexpr std::uint16_t first_request_type = 1;
constexpr std::uint16_t first_notice_type = 65;
constexpr std::size_t exec_status_limit = 4096;
constexpr std::size_t argument_limit = 256;

class Writer {
  public:
    static constexpr bool reading = false;

    explicit Writer(std::string& out)
        : out_(out) {}

    template <class T>

    requires(std::is_integral_v<T> || std::is_enum_v<T>) void operator()(const T& value) {
        auto bits = static_cast<std::uint64_t>(value);
        for (std::size_t i = 0; i < sizeof(T); ++i, bits >>= 8U) {
            out_ += static_cast<char>(bits & 0xffU);
        }
    }

    void operator()(const std::string& text) {
        (*this)(static_cast<std::uint32_t>(text.size()));
        out_ += text;
    }

  private:
    std::string& out_;
};

class Reader {
  public:
    static constexpr bool reading = true;

    explicit Reader(std::string_view bytes)
        : bytes_(bytes) {}

    template <class T>

    requires(std::is_integral_v<T> || std::is_enum_v<T>) void operator()(T& value) {
        const std::string_view bytes = take(sizeof(T));
        std::uint64_t bits = 0;
        for (std::size_t i = bytes.size(); i > 0; --i) {
            bits = bits << 8U | static_cast<unsigned char>(bytes[i - 1]);
        }
        value = static_cast<T>(bits);
    }

    void operator()(bool& value) {
        std::uint8_t byte = 0;
        (*this)(byte);
        value = byte != 0;
    }

    void operator()(std::string& text) {
        std::uint32_t size = 0;
        (*this)(size);
        text = take(size);
    }

    // What follows is of a newer version than the sender's.
    bool at_end() const { return bytes_.empty(); }

    // Everything was there and nothing is left.
    bool complete() const { return ok_ && bytes_.empty(); }

    bool ok() const { return ok_; }

  private:
    std::string_view take(std::size_t size) {
        if (size > bytes_.size()) {
            ok_ = false;
            bytes_ = {};
            return {};
        }
        const std::string_view taken = bytes_.substr(0, size);
        bytes_.remove_prefix(size);
        return taken;
    }

    std::string_view bytes_;
    bool ok_ = true;
};

template <class Archive, class T>
void fields(Archive&, T&) requires(std::is_empty_v<std::remove_const_t<T>>) {}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(
    std::is_same_v<std::remove_const_t<T>, AttachStreams>) {
    archive(value.want_stdin);
    archive(value.want_stdout);
    archive(value.want_stderr);
    archive(value.multiplexed);
    archive(value.detach_sequence);
    archive(value.leftover);
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(std::is_same_v<std::remove_const_t<T>, Attach>) {
    archive(value.exec_id);
    fields(archive, value.streams);
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(std::is_same_v<std::remove_const_t<T>, Exec>) {
    archive(value.exec_id);
    archive(value.process);
    archive(value.terminal);
    archive(value.open_stdin);
    archive(value.attached);
    fields(archive, value.streams);
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(std::is_same_v<std::remove_const_t<T>, Signal>) {
    archive(value.exec_id);
    archive(value.number);
    archive(value.everything);
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(std::is_same_v<std::remove_const_t<T>, Resize>) {
    archive(value.exec_id);
    archive(value.size.rows);
    archive(value.size.columns);
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(std::is_same_v<std::remove_const_t<T>, Update>) {
    archive(value.resources);
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(std::is_same_v<std::remove_const_t<T>, Launch>) {
    auto count = static_cast<std::uint32_t>(value.arguments.size());
    archive(count);
    if constexpr (Archive::reading) {
        for (std::uint32_t i = 0; i < count && i < argument_limit && archive.ok(); ++i) {
            archive(value.arguments.emplace_back());
        }
    } else {
        for (const std::string& argument : value.arguments) {
            archive(argument);
        }
    }
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(std::is_same_v<std::remove_const_t<T>, Expect>) {
    archive(value.cgroup_path);
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(std::is_same_v<std::remove_const_t<T>, Exited>) {
    archive(value.exec_id);
    archive(value.code);
    archive(value.signal);
    archive(value.oom_killed);
    archive(value.time.nanoseconds);
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(std::is_same_v<std::remove_const_t<T>, Detached>) {
    archive(value.exec_id);
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(std::is_same_v<std::remove_const_t<T>, Done>) {
    archive(value.pid);
}

void fields(Writer& archive, const Failed& value) {
    archive(value.error.kind());
    archive(value.error.message());
}

void fields(Reader& archive, Failed& value) {
    ErrorKind kind = ErrorKind::Internal;
    std::string message;
    archive(kind);
    archive(message);
    if (kind > ErrorKind::Internal) {
        kind = ErrorKind::Internal; // of a newer version
    }
    value.error = Error(kind, std::move(message));
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(
    std::is_same_v<std::remove_const_t<T>, ExecStatus>) {
    archive(value.exec_id);
    archive(value.pid);
    archive(value.running);
    fields(archive, value.exit);
}

template <class Archive, class T>
void fields(Archive& archive, T& value) requires(
    std::is_same_v<std::remove_const_t<T>, StatusReply>) {
    archive(value.version);
    archive(value.id);
    archive(value.phase);
    archive(value.pid);
    archive(value.started.nanoseconds);
    fields(archive, value.exit);
    auto count = static_cast<std::uint32_t>(value.execs.size());
    archive(count);
    if constexpr (Archive::reading) {
        for (std::uint32_t i = 0; i < count && i < exec_status_limit && archive.ok(); ++i) {
            fields(archive, value.execs.emplace_back());
        }
        if (archive.at_end()) {
            value.oldest_engine = 1;
            return;
        }
    } else {
        for (const ExecStatus& exec : value.execs) {
            fields(archive, exec);
        }
    }
    archive(value.oldest_engine);
    count = static_cast<std::uint32_t>(value.told.size());
    archive(count);
    if constexpr (Archive::reading) {
        for (std::uint32_t i = 0; i < count && i < exec_status_limit && archive.ok(); ++i) {
            fields(archive, value.told.emplace_back());
        }
    } else {
        for (const Exited& exit : value.told) {
            fields(archive, exit);
        }
    }
}

void put_header(std::string& out, const MessageHeader& header) {
    Writer writer(out);
    writer(header.body_size);
    writer(header.type);
    writer(header.descriptors);
    writer(header.request);
}

template <class Variant>
std::string
encode_any(const Variant& message, std::uint16_t type, std::uint32_t number, std::uint16_t fds) {
    std::string body;
    std::visit(
        [&](const auto& value) {
            Writer writer(body);
            fields(writer, value);
        },
        message);
    std::string out;
    out.reserve(message_header_size + body.size());
    put_header(
        out,
        {.body_size = static_cast<std::uint32_t>(body.size()),
         .type = static_cast<std::uint16_t>(type + message.index()),
         .descriptors = fds,
         .request = number});
    return out + body;
}

// A newer monitor may say more than this engine knows; a request is understood whole or not at all.
enum class Surplus : bool { Refused, Ignored };

template <class Variant, std::size_t Index = 0>
Result<Variant> decode_any(std::size_t index, std::string_view body, Surplus surplus) {
    if constexpr (Index == std::variant_size_v<Variant>) {
        return not_implemented("the monitor protocol has no message of this type");
    } else {
        if (index != Index) {
            return decode_any<Variant, Index + 1>(index, body, surplus);
        }
        std::variant_alternative_t<Index, Variant> value;
        Reader reader(body);
        fields(reader, value);
        if (surplus == Surplus::Ignored ? !reader.ok() : !reader.complete()) {
            return invalid_argument("malformed message of the monitor protocol");
        }
        return Variant(std::move(value));
    }
}

} // namespace

std::string encode(const Request& request, std::uint32_t number, std::uint16_t descriptors) {
    return encode_any(request, first_request_type, number, descriptors);
}

std::string encode(const Notice& notice, std::uint32_t number) {
    return encode_any(notice, first_notice_type, number, 0);
}

Result<MessageHeader> decode_header(std::string_view bytes) {
    MessageHeader header;
    Reader reader(bytes);
    reader(header.body_size);
    reader(header.type);
    reader(header.descriptors);
    reader(header.request);
    if (!reader.complete() || header.body_size > message_limit ||
        header.descriptors > message_descriptor_limit) {
        return invalid_argument("malformed header of the monitor protocol");
    }
    return header;
}

Result<Request> decode_request(const MessageHeader& header, std::string_view body) {
    return decode_any<Request>(
        static_cast<std::size_t>(header.type) - first_request_type, body, Surplus::Refused);
}

Result<Notice> decode_notice(const MessageHeader& header, std::string_view body) {
    return decode_any<Notice>(
        static_cast<std::size_t>(header.type) - first_notice_type, body, Surplus::Ignored);
}

Result<void> check_version(const StatusReply& status) {
    if (status.version >= oldest_monitor_version && status.oldest_engine <= protocol_version) {
        return ok();
    }
    return not_implemented(
        "the container's monitor speaks version " + std::to_string(status.version) +
        " of the monitor protocol and wants an engine of version " +
        std::to_string(status.oldest_engine) + " or later; this one has version " +
        std::to_string(protocol_version) + " and understands monitors from version " +
        std::to_string(oldest_monitor_version) + " on");
}

} // namespace berth::monitor
