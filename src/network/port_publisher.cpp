// SPDX-License-Identifier: Apache-2.0
// Host ports held by sockets, which carry nothing unless the relay has them.
#include "network/port_publisher.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "kernel/process.h"
#include "network/port_relay.h"

#include <linux/filter.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

struct PortRange {
    std::uint16_t first = 32768;
    std::uint16_t last = 60999;
};

// Docker takes random host ports from the kernel's range for outgoing connections.
PortRange ephemeral_range() {
    PortRange range;
    const Result<std::string> text = read_file("/proc/sys/net/ipv4/ip_local_port_range");
    if (!text.ok()) {
        return range;
    }
    const std::vector<std::string_view> numbers = words(text.value());
    if (numbers.size() == 2) {
        range.first = parse_number<std::uint16_t>(numbers[0]).value_or(range.first);
        range.last = parse_number<std::uint16_t>(numbers[1]).value_or(range.last);
    }
    return range;
}

// As Go words it, for the errors that a user meets here.
std::string bind_error_text(int error_number) {
    switch (error_number) {
    case EADDRINUSE:
        return "address already in use";
    case EADDRNOTAVAIL:
        return "cannot assign requested address";
    case EACCES:
        return "permission denied";
    }
    return to_lower(std::strerror(error_number));
}

std::string address_and_port(const kernel::IpAddress& ip, std::uint16_t port) {
    const std::string address = ip.is_v4() ? ip.to_string() : "[" + ip.to_string() + "]";
    return address + ":" + std::to_string(port);
}

Error bind_failed(
    const PortRequest& request,
    const kernel::IpAddress& host_ip,
    std::uint16_t host_port,
    const ContainerAddresses& container,
    int error_number) {
    const kernel::IpAddress container_ip =
        container.target(host_ip.family()).value_or(kernel::IpAddress());
    const std::string sentence =
        "failed to bind host port for " + address_and_port(host_ip, host_port) + ":" +
        address_and_port(container_ip, request.container_port) + "/" +
        std::string(to_string(request.protocol)) + ": " + bind_error_text(error_number);
    return conflict(sentence);
}

// A packet that arrives before its firewall rule is in force must not be answered: dropped, a
// client tries again and reaches the container.
void drop_everything(const UniqueFd& socket) {
    sock_filter drop{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
    const sock_fprog program{.len = 1, .filter = &drop};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int bind_to(const UniqueFd& socket, const kernel::IpAddress& host_ip, std::uint16_t port) {
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    // SAFETY: the sockets interface takes every address type through sockaddr.
    if (host_ip.is_v4()) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        v4.sin_addr.s_addr = htonl(host_ip.v4());
        return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
    }
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, host_ip.bytes().data(), sizeof v6.sin6_addr);
    return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

// The errno of a failure is in the Error. No socket for a protocol that the kernel translates
// (SCTP) but does not speak: then no other program can have the port either.
Result<UniqueFd>
bind_port(Protocol protocol, const kernel::IpAddress& host_ip, std::uint16_t port) {
    const int type = protocol == Protocol::Udp ? SOCK_DGRAM : SOCK_STREAM;
    const int family = host_ip.is_v4() ? AF_INET : AF_INET6;
    UniqueFd socket(::socket(family, type | SOCK_CLOEXEC, static_cast<int>(protocol)));
    if (!socket && protocol == Protocol::Sctp &&
        (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT)) {
        return UniqueFd();
    }
    if (!socket) {
        return errno_error("open a socket");
    }
    // A program that starts at this moment must not hold the port beyond its release.
    socket = kernel::keep_apart(std::move(socket));
    drop_everything(socket);
    const int on = 1;
    if (!host_ip.is_v4()) {
        ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (protocol == Protocol::Tcp) {
        // Connections of an earlier server in TIME_WAIT must not hold the port.
        ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (bind_to(socket, host_ip, port) != 0) {
        return errno_error("bind");
    }
    // Only a listening socket keeps out others that set SO_REUSEADDR too. To SCTP a backlog of 0
    // means to listen no more, which a socket that never did may not (EINVAL).
    const int backlog = protocol == Protocol::Sctp ? 1 : 0;
    if (protocol != Protocol::Udp && ::listen(socket.get(), backlog) != 0) {
        return errno_error("listen");
    }
    return socket;
}

const kernel::IpAddress& any_address_v6() {
    static const std::array<std::uint8_t, 16> zero{};
    static const kernel::IpAddress address = kernel::IpAddress::from_bytes(zero);
    return address;
}

// A host without IPv6, or where it is turned off, has no such addresses to publish on. Docker asks
// in the same way.
bool host_has_ipv6() {
    std::array<std::uint8_t, 16> loopback{};
    loopback.back() = 1;
    const UniqueFd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return socket && bind_to(socket, kernel::IpAddress::from_bytes(loopback), 0) == 0;
}

// The addresses of the host that the request is about.
Result<std::vector<kernel::IpAddress>>
host_addresses(const PortRequest& request, const ContainerAddresses& container) {
    const bool is_sctp = request.protocol == Protocol::Sctp;
    std::vector<kernel::IpAddress> addresses;
    if (request.every_family) {
        if (container.v4) {
            addresses.emplace_back();
        }
        constexpr auto v6 = kernel::IpFamily::V6;
        const bool leads = container.target(v6) && !(container.relayed(v6) && is_sctp);
        if (leads && host_has_ipv6()) {
            addresses.push_back(any_address_v6());
        }
        return addresses;
    }
    const auto family = request.host_ip.family();
    const auto port_text = [&request] {
        return "port " + std::to_string(request.container_port) + "/" +
               std::string(to_string(request.protocol)) + " on " +
               address_and_port(request.host_ip, request.host_port);
    };
    if (is_sctp && container.relayed(family) && request.host_ip.is_unspecified()) {
        return addresses; // as where no address is named
    }
    if (is_sctp && container.relayed(family)) {
        return invalid_argument(
            "cannot publish " + port_text() +
            (container.v6 ? ": there is no firewall for IPv6"
                          : ": the container has no IPv6 address in this network") +
            ", and SCTP is not relayed");
    }
    if (container.target(family)) {
        addresses.push_back(request.host_ip);
    } else {
        log::warn("a port leads to no address of the container, ignoring", {{"port", port_text()}});
    }
    return addresses;
}

} // namespace

struct PortReservations::Candidate {
    const PortRequest& request;
    const ContainerAddresses& container;
    std::vector<kernel::IpAddress> host_ips{};
};

struct PortReservations::Attempt {
    std::vector<BoundPort> bound{};
    std::optional<Error> failure{};
    bool taken = false; // the failure is this port's: another may do
};

std::string_view to_string(Protocol protocol) {
    switch (protocol) {
    case Protocol::Tcp:
        return "tcp";
    case Protocol::Udp:
        return "udp";
    case Protocol::Sctp:
        return "sctp";
    }
    VERIFY(false);
}

Result<Protocol> parse_protocol(std::string_view name) {
    const std::string lower = to_lower(name);
    if (lower == "tcp") {
        return Protocol::Tcp;
    }
    if (lower == "udp") {
        return Protocol::Udp;
    }
    if (lower == "sctp") {
        return Protocol::Sctp;
    }
    return invalid_argument("invalid proto: " + std::string(name));
}

Result<std::vector<BoundPort>> PortReservations::reserve(
    const std::vector<PortRequest>& requests, const ContainerAddresses& container) {
    auto state = state_.lock();
    std::vector<BoundPort> bound;
    for (const PortRequest& request : requests) {
        Result<std::vector<BoundPort>> ports = reserve_one(*state, request, container);
        if (!ports.ok()) {
            for (const BoundPort& undo : bound) {
                state->sockets.erase({undo.protocol, undo.host_port, undo.host_ip});
            }
            return std::move(ports).error();
        }
        bound.insert(bound.end(), ports->begin(), ports->end());
    }
    return bound;
}

Result<std::vector<BoundPort>> PortReservations::reserve_one(
    State& state, const PortRequest& request, const ContainerAddresses& container) {
    Candidate candidate{.request = request, .container = container};
    std::vector<BoundPort> routed;
    for (const kernel::IpAddress& host_ip : TRY(host_addresses(request, container))) {
        if (container.routed(host_ip.family())) {
            const kernel::IpAddress any = host_ip.is_v4() ? kernel::IpAddress() : any_address_v6();
            routed.push_back({request.protocol, request.container_port, any, 0});
        } else {
            candidate.host_ips.push_back(host_ip);
        }
    }
    std::vector<BoundPort> bound;
    if (!candidate.host_ips.empty() && request.host_port == 0) {
        bound = TRY(reserve_ephemeral(state, candidate));
    } else if (!candidate.host_ips.empty()) {
        const std::uint16_t last = std::max(request.host_port, request.host_port_end);
        std::optional<Error> failure;
        for (std::uint32_t number = request.host_port; number <= last && bound.empty(); ++number) {
            Attempt attempt = try_port(state, candidate, static_cast<std::uint16_t>(number));
            bound = std::move(attempt.bound);
            failure = std::move(attempt.failure);
        }
        if (bound.empty()) {
            return last > request.host_port ? conflict("all ports are allocated")
                                            : *std::move(failure);
        }
    }
    bound.insert(bound.end(), routed.begin(), routed.end());
    return bound;
}

Result<std::vector<BoundPort>>
PortReservations::reserve_ephemeral(State& state, const Candidate& candidate) {
    const PortRange range = ephemeral_range();
    const std::uint32_t count = static_cast<std::uint32_t>(range.last - range.first) + 1;
    const std::uint32_t start =
        state.last_ephemeral >= range.first && state.last_ephemeral <= range.last
            ? static_cast<std::uint32_t>(state.last_ephemeral - range.first) + 1
            : 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto port = static_cast<std::uint16_t>(range.first + (start + i) % count);
        Attempt attempt = try_port(state, candidate, port);
        if (!attempt.failure) {
            state.last_ephemeral = port;
            return std::move(attempt.bound);
        }
        if (!attempt.taken) {
            return *std::move(attempt.failure);
        }
    }
    return conflict("all ports are allocated");
}

PortReservations::Attempt
PortReservations::try_port(State& state, const Candidate& candidate, std::uint16_t port) {
    const Protocol protocol = candidate.request.protocol;
    std::vector<UniqueFd> sockets;
    for (const kernel::IpAddress& host_ip : candidate.host_ips) {
        if (is_allocated(state, protocol, host_ip, port)) {
            return {
                .failure = conflict(
                    "Bind for " + address_and_port(host_ip, port) +
                    " failed: port is already allocated"),
                .taken = true};
        }
        Result<UniqueFd> socket = bind_port(protocol, host_ip, port);
        if (!socket.ok()) {
            const int number = socket.error().error_number();
            return {
                .failure =
                    bind_failed(candidate.request, host_ip, port, candidate.container, number),
                .taken = number == EADDRINUSE};
        }
        sockets.push_back(std::move(socket).value());
    }
    Attempt attempt;
    for (std::size_t i = 0; i < sockets.size(); ++i) {
        attempt.bound.push_back(
            {protocol, candidate.request.container_port, candidate.host_ips[i], port});
        hold(state, attempt.bound.back(), std::move(sockets[i]));
    }
    return attempt;
}

bool PortReservations::is_allocated(
    const State& state, Protocol protocol, const kernel::IpAddress& host_ip, std::uint16_t port) {
    for (auto entry = state.sockets.lower_bound({protocol, port, kernel::IpAddress()});
         entry != state.sockets.end();
         ++entry) {
        const auto& [held_protocol, held_port, held_ip] = entry->first;
        if (held_protocol != protocol || held_port != port) {
            return false;
        }
        if (held_ip.family() == host_ip.family() &&
            (held_ip == host_ip || held_ip.is_unspecified() || host_ip.is_unspecified())) {
            return true;
        }
    }
    return false;
}

void PortReservations::hold(State& state, const BoundPort& port, UniqueFd socket) {
    state.sockets.insert_or_assign(
        Key{port.protocol, port.host_port, port.host_ip}, std::move(socket));
}

void PortReservations::release(const std::vector<BoundPort>& ports) {
    const std::shared_ptr<PortRelay> relay = state_.lock()->relay;
    if (relay) {
        relay->remove(ports);
    }
    auto state = state_.lock();
    for (const BoundPort& port : ports) {
        state->sockets.erase({port.protocol, port.host_port, port.host_ip});
    }
}

Result<void>
PortReservations::relay(const std::vector<BoundPort>& ports, const ContainerAddresses& container) {
    if (container.leads_by_firewall(kernel::IpFamily::V6) || !container.relay_target()) {
        return ok();
    }
    auto state = state_.lock();
    for (const BoundPort& port : ports) {
        const auto found = state->sockets.find({port.protocol, port.host_port, port.host_ip});
        const bool is_carried = !port.host_ip.is_v4() && port.protocol != Protocol::Sctp;
        if (!is_carried || found == state->sockets.end() || !found->second) {
            continue;
        }
        if (!state->relay) {
            state->relay = TRY(PortRelay::start());
        }
        state->relay->add(port, std::move(found->second), *container.relay_target());
    }
    return ok();
}

Result<void> PortReservations::restore(const std::vector<BoundPort>& ports) {
    auto state = state_.lock();
    std::optional<Error> failure;
    for (const BoundPort& port : ports) {
        if (port.host_port == 0) {
            continue;
        }
        Result<UniqueFd> socket = bind_port(port.protocol, port.host_ip, port.host_port);
        UniqueFd held; // without a socket it is still ours: no other container may have it
        if (socket.ok()) {
            held = std::move(socket).value();
        } else {
            failure = std::move(socket).error().with_context(
                "hold port " + address_and_port(port.host_ip, port.host_port));
        }
        hold(*state, port, std::move(held));
    }
    if (failure) {
        return *std::move(failure);
    }
    return ok();
}

} // namespace berth::network
