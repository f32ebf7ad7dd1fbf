// SPDX-License-Identifier: Apache-2.0
// Netlink requests as bytes.
#include "kernel/netlink_message.h"

#include "base/verify.h"

#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <endian.h>

namespace berth::kernel {
namespace {

std::vector<const nlattr*> attributes_in(std::span<const std::byte> bytes) {
    std::vector<const nlattr*> attributes;
    while (bytes.size() >= sizeof(nlattr)) {
        // SAFETY: netlink aligns attributes to four bytes within messages that recv(2) wrote to an
        // aligned buffer; the length is checked against what is left before the next step.
        const auto* attribute = reinterpret_cast<const nlattr*>(bytes.data());
        if (attribute->nla_len < sizeof(nlattr) || attribute->nla_len > bytes.size()) {
            break;
        }
        attributes.push_back(attribute);
        const std::size_t step = NLA_ALIGN(std::size_t{attribute->nla_len});
        bytes = bytes.subspan(std::min(step, bytes.size()));
    }
    return attributes;
}

} // namespace

std::vector<const nlattr*> attributes_of(const nlmsghdr& message, std::size_t fixed_part_size) {
    const std::size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(fixed_part_size);
    if (message.nlmsg_len < start) {
        return {};
    }
    const auto* bytes = reinterpret_cast<const std::byte*>(&message);
    return attributes_in({bytes + start, message.nlmsg_len - start});
}

std::vector<const nlattr*> attributes_of(const nlattr& nested) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&nested);
    return attributes_in({bytes + sizeof(nlattr), nested.nla_len - sizeof(nlattr)});
}

std::string string_of(const nlattr& attribute) {
    const auto* text = reinterpret_cast<const char*>(&attribute) + sizeof(nlattr);
    return std::string(text, ::strnlen(text, attribute.nla_len - sizeof(nlattr)));
}

void NetlinkBatch::begin(
    std::uint16_t type,
    std::uint16_t flags,
    std::span<const std::byte> header,
    std::string description) {
    close_message();
    descriptions_.push_back(std::move(description));
    message_start_ = bytes_.size();
    const nlmsghdr message{
        .nlmsg_len = 0,
        .nlmsg_type = type,
        .nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST),
        .nlmsg_seq = static_cast<std::uint32_t>(descriptions_.size()),
        .nlmsg_pid = 0,
    };
    append(&message, sizeof message);
    append(header.data(), header.size());
}

void NetlinkBatch::put_bytes(std::uint16_t attribute, std::span<const std::uint8_t> bytes) {
    const nlattr header{
        .nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + bytes.size()),
        .nla_type = attribute,
    };
    VERIFY(sizeof(nlattr) + bytes.size() <= UINT16_MAX);
    append(&header, sizeof header);
    append(bytes.data(), bytes.size());
}

void NetlinkBatch::put_string(std::uint16_t attribute, std::string_view text) {
    std::vector<std::uint8_t> bytes(text.begin(), text.end());
    bytes.push_back(0);
    put_bytes(attribute, bytes);
}

void NetlinkBatch::put_u8(std::uint16_t attribute, std::uint8_t value) {
    put_bytes(attribute, {&value, 1});
}

void NetlinkBatch::put_u16(std::uint16_t attribute, std::uint16_t value) {
    std::uint8_t bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    put_bytes(attribute, bytes);
}

void NetlinkBatch::put_u32(std::uint16_t attribute, std::uint32_t value) {
    std::uint8_t bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    put_bytes(attribute, bytes);
}

void NetlinkBatch::put_big_endian_u32(std::uint16_t attribute, std::uint32_t value) {
    put_u32(attribute, htobe32(value));
}

void NetlinkBatch::put_big_endian_u64(std::uint16_t attribute, std::uint64_t value) {
    std::array<std::uint8_t, sizeof value> bytes{};
    const std::uint64_t big_endian = htobe64(value);
    std::memcpy(bytes.data(), &big_endian, bytes.size());
    put_bytes(attribute, bytes);
}

void NetlinkBatch::put_raw(std::span<const std::byte> bytes) {
    append(bytes.data(), bytes.size());
}

void NetlinkBatch::begin_nested(std::uint16_t attribute) {
    open_nests_.push_back(bytes_.size());
    const nlattr header{
        .nla_len = 0,
        .nla_type = static_cast<std::uint16_t>(attribute | NLA_F_NESTED),
    };
    append(&header, sizeof header);
}

void NetlinkBatch::end_nested() {
    VERIFY(!open_nests_.empty());
    const std::size_t start = open_nests_.back();
    open_nests_.pop_back();
    const std::size_t size = bytes_.size() - start;
    VERIFY(size <= UINT16_MAX);
    const std::uint16_t length = static_cast<std::uint16_t>(size);
    std::memcpy(bytes_.data() + start + offsetof(nlattr, nla_len), &length, sizeof length);
}

void NetlinkBatch::acknowledge_open_message() {
    VERIFY(!descriptions_.empty());
    std::uint16_t flags = 0;
    std::byte* place = bytes_.data() + message_start_ + offsetof(nlmsghdr, nlmsg_flags);
    std::memcpy(&flags, place, sizeof flags);
    flags |= NLM_F_ACK;
    std::memcpy(place, &flags, sizeof flags);
}

std::span<const std::byte> NetlinkBatch::finish() {
    close_message();
    return bytes_;
}

void NetlinkBatch::close_message() {
    VERIFY(open_nests_.empty());
    if (descriptions_.empty()) {
        return;
    }
    const std::uint32_t length = static_cast<std::uint32_t>(bytes_.size() - message_start_);
    std::memcpy(
        bytes_.data() + message_start_ + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
}

void NetlinkBatch::append(const void* data, std::size_t size) {
    const auto* begin = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
    bytes_.resize((bytes_.size() + NLMSG_ALIGNTO - 1) / NLMSG_ALIGNTO * NLMSG_ALIGNTO);
}

} // namespace berth::kernel
