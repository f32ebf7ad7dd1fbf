// SPDX-License-Identifier: Apache-2.0
// IP addresses, prefixes and MAC addresses as values.
#include "kernel/netlink_address.h"

#include "base/random.h"
#include "base/strings.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include <arpa/inet.h>

namespace berth::kernel {
namespace {

std::uint8_t bits_of(IpFamily family) {
    return family == IpFamily::V4 ? 32 : 128;
}

} // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
    const std::string terminated(text);
    IpAddress address;
    if (::inet_pton(AF_INET, terminated.c_str(), address.bytes_.data()) == 1) {
        return address;
    }
    if (::inet_pton(AF_INET6, terminated.c_str(), address.bytes_.data()) == 1) {
        address.family_ = IpFamily::V6;
        return address;
    }
    return invalid_argument("invalid IP address: " + terminated);
}

IpAddress IpAddress::from_v4(std::uint32_t number) {
    IpAddress address;
    for (std::size_t i = 0; i < 4; ++i) {
        address.bytes_[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
    }
    return address;
}

IpAddress IpAddress::from_bytes(std::span<const std::uint8_t> bytes) {
    VERIFY(bytes.size() == 4 || bytes.size() == 16);
    IpAddress address;
    address.family_ = bytes.size() == 4 ? IpFamily::V4 : IpFamily::V6;
    std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
    return address;
}

std::uint32_t IpAddress::v4() const {
    VERIFY(is_v4());
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        number = number << 8 | bytes_[i];
    }
    return number;
}

bool IpAddress::is_loopback() const {
    if (is_v4()) {
        return bytes_[0] == 127;
    }
    return bytes_.back() == 1 &&
           std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto byte) { return byte == 0; });
}

bool IpAddress::is_unspecified() const {
    return std::all_of(bytes_.begin(), bytes_.end(), [](auto byte) { return byte == 0; });
}

std::string IpAddress::to_string() const {
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
    return text;
}

Result<IpPrefix> IpPrefix::parse(std::string_view text) {
    const std::optional<Cut> parts = cut(text, "/");
    if (!parts) {
        return invalid_argument("invalid CIDR address: " + std::string(text));
    }
    const Result<IpAddress> address = IpAddress::parse(parts->before);
    const Result<std::uint8_t> length = parse_number<std::uint8_t>(parts->after);
    if (!address.ok() || !length.ok() || length.value() > bits_of(address.value().family())) {
        return invalid_argument("invalid CIDR address: " + std::string(text));
    }
    return IpPrefix{address.value(), length.value()};
}

IpPrefix IpPrefix::network() const {
    std::array<std::uint8_t, 16> masked{};
    const std::span<const std::uint8_t> bytes = address.bytes();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const int bits = std::clamp(static_cast<int>(length) - static_cast<int>(i) * 8, 0, 8);
        masked[i] = static_cast<std::uint8_t>(bytes[i] & (0xff00 >> bits));
    }
    return {IpAddress::from_bytes(std::span(masked).first(bytes.size())), length};
}

bool IpPrefix::contains(const IpAddress& other) const {
    return address.family() == other.family() && IpPrefix{other, length}.network() == network();
}

bool IpPrefix::overlaps(const IpPrefix& other) const {
    return length <= other.length ? contains(other.address) : other.contains(address);
}

std::string IpPrefix::to_string() const {
    return address.to_string() + "/" + std::to_string(length);
}

Result<MacAddress> MacAddress::parse(std::string_view text) {
    const std::vector<std::string_view> parts = split(text, ':');
    MacAddress mac;
    if (parts.size() != mac.bytes.size()) {
        return invalid_argument("invalid MAC address: " + std::string(text));
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const Result<std::uint8_t> byte = parse_number<std::uint8_t>(parts[i], 16);
        if (!byte.ok() || parts[i].size() != 2) {
            return invalid_argument("invalid MAC address: " + std::string(text));
        }
        mac.bytes[i] = byte.value();
    }
    return mac;
}

MacAddress MacAddress::for_address(const IpAddress& address) {
    const std::span<const std::uint8_t> last_four = address.bytes().last(4);
    MacAddress mac{{0x02, 0x42}};
    std::copy(last_four.begin(), last_four.end(), mac.bytes.begin() + 2);
    return mac;
}

MacAddress MacAddress::random() {
    const std::uint64_t number = random_u64();
    MacAddress mac;
    std::memcpy(mac.bytes.data(), &number, mac.bytes.size());
    // Locally administered, not multicast.
    mac.bytes[0] = static_cast<std::uint8_t>((mac.bytes[0] & 0xfc) | 0x02);
    return mac;
}

std::string MacAddress::to_string() const {
    std::string text;
    for (const std::uint8_t byte : bytes) {
        const char raw = static_cast<char>(byte);
        text += (text.empty() ? "" : ":") + to_hex(std::string_view(&raw, 1));
    }
    return text;
}

} // namespace berth::kernel
