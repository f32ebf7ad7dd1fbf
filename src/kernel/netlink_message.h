// SPDX-License-Identifier: Apache-2.0
// Netlink requests as bytes: several messages in one buffer, sent with one system call. Attributes
// are appended as they come; nesting closes in reverse order. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct nlattr;
struct nlmsghdr;

namespace berth::kernel {

class NetlinkBatch {
  public:
    // Opens a message and closes the one before. The description stands in error sentences:
    // "add address 172.17.0.2/16 to interface 3". `header` is the protocol's fixed part.
    void begin(
        std::uint16_t type,
        std::uint16_t flags,
        std::span<const std::byte> header,
        std::string description);

    void put_bytes(std::uint16_t attribute, std::span<const std::uint8_t> bytes);
    void put_string(std::uint16_t attribute, std::string_view text); // with its zero byte
    void put_u8(std::uint16_t attribute, std::uint8_t value);
    void put_u16(std::uint16_t attribute, std::uint16_t value); // host order
    void put_u32(std::uint16_t attribute, std::uint32_t value); // host order
    void put_big_endian_u32(std::uint16_t attribute, std::uint32_t value);
    void put_big_endian_u64(std::uint16_t attribute, std::uint64_t value);

    // Bytes without an attribute's header, padded: the fixed part within IFLA_INFO's peer.
    void put_raw(std::span<const std::byte> bytes);

    void begin_nested(std::uint16_t attribute);
    void end_nested();

    // The kernel answers the open message although all goes well (NLM_F_ACK).
    void acknowledge_open_message();

    // Closes the last message. Message n (from 0) has the sequence number n + 1.
    std::span<const std::byte> finish();

    std::size_t message_count() const { return descriptions_.size(); }

    const std::string& description(std::size_t message) const { return descriptions_[message]; }

    bool empty() const { return descriptions_.empty(); }

  private:
    void close_message();
    void append(const void* data, std::size_t size);

    std::vector<std::byte> bytes_;
    std::vector<std::string> descriptions_;
    std::vector<std::size_t> open_nests_; // offsets of their headers
    std::size_t message_start_ = 0;
};

// The attributes of a received message behind its fixed part, and those within a nested attribute.
std::vector<const nlattr*> attributes_of(const nlmsghdr& message, std::size_t fixed_part_size);
std::vector<const nlattr*> attributes_of(const nlattr& nested);

// With or without its zero byte.
std::string string_of(const nlattr& attribute);

// The bytes of a plain struct, for headers.
template <class T>
std::span<const std::byte> struct_bytes(const T& value) {
    return std::as_bytes(std::span<const T, 1>(&value, 1));
}

} // namespace berth::kernel
