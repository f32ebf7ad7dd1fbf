// SPDX-License-Identifier: Apache-2.0
// Docker's rules of registry/config.go: an insecure registry is named exactly, or its address lies
// in a CIDR block.
#include "registry/address.h"

#include "base/strings.h"

#include <array>
#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::registry {

namespace {

struct Address {
    int family = AF_UNSPEC;
    std::array<unsigned char, 16> bytes{};
};

struct Block {
    Address address;
    unsigned prefix = 0;
};

std::optional<Address> parse_address(const std::string& text) {
    Address address;
    for (int family : {AF_INET, AF_INET6}) {
        if (inet_pton(family, text.c_str(), address.bytes.data()) == 1) {
            address.family = family;
            return address;
        }
    }
    return std::nullopt;
}

std::optional<Block> parse_block(std::string_view text) {
    std::optional<Cut> parts = cut(text, "/");
    if (!parts) {
        return std::nullopt;
    }
    std::optional<Address> address = parse_address(std::string(parts->before));
    auto prefix = parse_number<unsigned>(parts->after);
    if (!address || !prefix.ok() || *prefix > (address->family == AF_INET ? 32U : 128U)) {
        return std::nullopt;
    }
    return Block{*address, *prefix};
}

bool contains(const Block& block, const Address& address) {
    if (block.address.family != address.family) {
        return false;
    }
    for (unsigned bit = 0; bit < block.prefix; ++bit) {
        auto mask = static_cast<unsigned char>(0x80U >> (bit % 8));
        if ((block.address.bytes[bit / 8] & mask) != (address.bytes[bit / 8] & mask)) {
            return false;
        }
    }
    return true;
}

// Of "host:port" and "[v6]:port"; npos without a port.
std::size_t port_colon(std::string_view authority) {
    std::size_t colon = authority.rfind(':');
    std::size_t bracket = authority.rfind(']');
    bool has_port =
        colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
    return has_port ? colon : std::string_view::npos;
}

std::string host_of(std::string_view registry) {
    std::string_view host = registry.substr(0, port_colon(registry));
    if (host.starts_with("[") && host.ends_with("]")) {
        host = host.substr(1, host.size() - 2);
    }
    return std::string(host);
}

std::vector<Address> resolve(const std::string& host) {
    std::vector<Address> addresses;
    if (std::optional<Address> literal = parse_address(host)) {
        addresses.push_back(*literal);
        return addresses;
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) {
        return addresses;
    }
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
        Address address{.family = entry->ai_family};
        // SAFETY: ai_addr has the type that ai_family says.
        if (entry->ai_family == AF_INET) {
            const auto* v4 = reinterpret_cast<const sockaddr_in*>(entry->ai_addr);
            std::memcpy(address.bytes.data(), &v4->sin_addr, sizeof(v4->sin_addr));
        } else if (entry->ai_family == AF_INET6) {
            const auto* v6 = reinterpret_cast<const sockaddr_in6*>(entry->ai_addr);
            std::memcpy(address.bytes.data(), &v6->sin6_addr, sizeof(v6->sin6_addr));
        }
        addresses.push_back(address);
    }
    freeaddrinfo(found);
    return addresses;
}

} // namespace

bool is_insecure(std::string_view registry, std::span<const std::string> insecure) {
    std::string host = host_of(registry);
    std::vector<Block> blocks{*parse_block("127.0.0.0/8"), *parse_block("::1/128")};
    bool configured_block = false;
    for (const std::string& entry : insecure) {
        if (entry == registry || entry == host) {
            return true;
        }
        if (std::optional<Block> block = parse_block(entry)) {
            blocks.push_back(*block);
            configured_block = true;
        }
    }
    if (host == "localhost") {
        return true;
    }
    if (!configured_block && !parse_address(host)) {
        return false; // spares a look-up of a name that could only match loopback
    }
    for (const Address& address : resolve(host)) {
        for (const Block& block : blocks) {
            if (contains(block, address)) {
                return true;
            }
        }
    }
    return false;
}

std::string origin_of(std::string_view url) {
    std::optional<Cut> parts = cut(url, "://");
    if (!parts) {
        return {};
    }
    std::string scheme = to_lower(parts->before);
    std::string authority = to_lower(parts->after.substr(0, parts->after.find_first_of("/?#")));
    if (authority.empty() || authority.find('@') != std::string::npos) {
        return {};
    }
    if (port_colon(authority) == std::string::npos) {
        authority += scheme == "https" ? ":443" : ":80";
    }
    return scheme + "://" + authority;
}

std::string api_host(std::string_view registry) {
    bool hub = registry == "docker.io" || registry == "index.docker.io";
    return hub ? "registry-1.docker.io" : std::string(registry);
}

std::vector<ApiBase> api_bases(std::string_view registry, std::span<const std::string> insecure) {
    std::string host = api_host(registry);
    if (!is_insecure(registry, insecure)) {
        return {{.url = "https://" + host}};
    }
    return {
        {.url = "https://" + host, .verify = VerifyTls::No},
        {.url = "http://" + host, .verify = VerifyTls::No}};
}

} // namespace berth::registry
