// SPDX-License-Identifier: Apache-2.0
// Numbers are of 32 bits, little-endian; a text has its size before it.
#include "front/protocol.h"

#include <utility>

namespace berth::front {

namespace {

enum class Kind : char { UseTls = 'C', CarryTls = 'T', CarryWebsocket = 'W' };

constexpr std::size_t number_bytes = 4;

void put(std::string& bytes, std::size_t number) {
    for (std::size_t i = 0; i < number_bytes; ++i) {
        bytes += static_cast<char>((number >> (8 * i)) & 0xffU);
    }
}

void put(std::string& bytes, std::string_view text) {
    put(bytes, text.size());
    bytes += text;
}

class Reader {
  public:
    explicit Reader(std::string_view bytes)
        : bytes_(bytes) {}

    bool at_end() const { return bytes_.empty(); }

    Result<std::size_t> number() {
        const std::string_view digits = TRY(take(number_bytes));
        std::size_t value = 0;
        for (std::size_t i = 0; i < number_bytes; ++i) {
            value |= static_cast<std::size_t>(static_cast<unsigned char>(digits[i])) << (8 * i);
        }
        return value;
    }

    Result<std::string> text() {
        const std::size_t size = TRY(number());
        return std::string(TRY(take(size)));
    }

    Result<std::string_view> take(std::size_t size) {
        if (bytes_.size() < size) {
            return invalid_argument("a message of the front's protocol is too short");
        }
        const std::string_view taken = bytes_.substr(0, size);
        bytes_.remove_prefix(size);
        return taken;
    }

  private:
    std::string_view bytes_;
};

void put(std::string& bytes, const http::TlsMaterial::Part& part) {
    put(bytes, std::string_view(part.file));
    put(bytes, std::string_view(part.pem));
}

Result<http::TlsMaterial::Part> part_from(Reader& reader) {
    http::TlsMaterial::Part part;
    part.file = TRY(reader.text());
    part.pem = TRY(reader.text());
    return part;
}

struct Encoder {
    std::string operator()(const UseTls& message) const {
        const http::TlsMaterial& material = message.material;
        std::string bytes = begin(Kind::UseTls);
        put(bytes, static_cast<std::size_t>(material.minimum));
        put(bytes, material.certificate);
        put(bytes, material.key);
        put(bytes, material.client_ca);
        return bytes;
    }

    std::string operator()(const CarryTls&) const { return begin(Kind::CarryTls); }

    std::string operator()(const CarryWebsocket& message) const {
        std::string bytes = begin(Kind::CarryWebsocket);
        put(bytes, static_cast<std::size_t>(message.kind));
        put(bytes, std::string_view(message.received));
        put(bytes, std::string_view(message.to_send));
        return bytes;
    }

    static std::string begin(Kind kind) { return std::string(1, static_cast<char>(kind)); }
};

Result<Message> decode_tls(Reader& reader) {
    using Minimum = http::TlsOptions::Minimum;
    UseTls message;
    const std::size_t minimum = TRY(reader.number());
    message.material.minimum = minimum == static_cast<std::size_t>(Minimum::Version13)
                                   ? Minimum::Version13
                                   : Minimum::Version12;
    message.material.certificate = TRY(part_from(reader));
    message.material.key = TRY(part_from(reader));
    message.material.client_ca = TRY(part_from(reader));
    return Message(std::move(message));
}

Result<Message> decode_websocket(Reader& reader) {
    using FrameKind = http::Websocket::Kind;
    CarryWebsocket message;
    const std::size_t kind = TRY(reader.number());
    message.kind =
        kind == static_cast<std::size_t>(FrameKind::Text) ? FrameKind::Text : FrameKind::Binary;
    message.received = TRY(reader.text());
    message.to_send = TRY(reader.text());
    return Message(std::move(message));
}

} // namespace

std::string encode(const Message& message) {
    return std::visit(Encoder(), message);
}

Result<Message> decode(std::string_view bytes) {
    Reader reader(bytes);
    switch (static_cast<Kind>(TRY(reader.take(1)).front())) {
    case Kind::UseTls:
        return decode_tls(reader);
    case Kind::CarryTls:
        return Message(CarryTls());
    case Kind::CarryWebsocket:
        return decode_websocket(reader);
    }
    return invalid_argument("a message of the front's protocol is of no known kind");
}

std::string encode_identity(const http::TlsIdentity& identity) {
    std::string body;
    put(body, std::string_view(identity.common_name));
    for (const std::string& certificate : identity.certificates) {
        put(body, std::string_view(certificate));
    }
    std::string bytes;
    put(bytes, std::string_view(body));
    return bytes;
}

Result<std::size_t> identity_size(std::string_view bytes) {
    const std::size_t size = TRY(Reader(bytes).number());
    if (size > identity_limit) {
        return invalid_argument("a TLS client's identity is too large");
    }
    return size;
}

Result<http::TlsIdentity> decode_identity(std::string_view bytes) {
    Reader reader(bytes);
    http::TlsIdentity identity;
    identity.common_name = TRY(reader.text());
    while (!reader.at_end()) {
        identity.certificates.push_back(TRY(reader.text()));
    }
    return identity;
}

} // namespace berth::front
