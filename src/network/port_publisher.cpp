// SPDX-License-Identifier: Apache-2.0
// Host ports held by sockets that never carry a byte.
#include "network/port_publisher.h"

#include "base/file.h"
#include "base/strings.h"

#include <linux/filter.h>

#include <algorithm>
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

Error already_allocated(const kernel::IpAddress& ip, std::uint16_t port) {
    return conflict(
        "Bind for " + ip.to_string() + ":" + std::to_string(port) +
        " failed: port is already allocated");
}

Error bind_failed(
    const PortRequest& request,
    std::uint16_t host_port,
    const kernel::IpAddress& container_ip,
    int error_number) {
    const std::string sentence = "failed to bind host port for " + request.host_ip.to_string() +
                                 ":" + std::to_string(host_port) + ":" + container_ip.to_string() +
                                 ":" + std::to_string(request.container_port) + "/" +
                                 std::string(to_string(request.protocol)) + ": " +
                                 bind_error_text(error_number);
    return conflict(sentence);
}

// A packet that arrives before its firewall rule is in force must not be answered: dropped, a
// client tries again and reaches the container.
void drop_everything(const UniqueFd& socket) {
    sock_filter drop{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
    const sock_fprog program{.len = 1, .filter = &drop};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

// The errno of a failure is in the Error.
Result<UniqueFd>
bind_port(Protocol protocol, const kernel::IpAddress& host_ip, std::uint16_t port) {
    const int type = protocol == Protocol::Tcp ? SOCK_STREAM : SOCK_DGRAM;
    UniqueFd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    if (!socket) {
        return errno_error("open a socket");
    }
    drop_everything(socket);
    if (protocol == Protocol::Tcp) {
        // Connections of an earlier server in TIME_WAIT must not hold the port.
        const int on = 1;
        ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(host_ip.v4());
    // SAFETY: the sockets interface takes every address type through sockaddr.
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::bind(socket.get(), generic, sizeof address) != 0) {
        return errno_error("bind");
    }
    // Only a listening socket keeps out others that set SO_REUSEADDR too.
    if (protocol == Protocol::Tcp && ::listen(socket.get(), 0) != 0) {
        return errno_error("listen");
    }
    return socket;
}

} // namespace

std::string_view to_string(Protocol protocol) {
    switch (protocol) {
    case Protocol::Tcp:
        return "tcp";
    case Protocol::Udp:
        return "udp";
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
        return not_implemented("publishing SCTP ports is not supported");
    }
    return invalid_argument("invalid proto: " + std::string(name));
}

Result<std::vector<BoundPort>> PortReservations::reserve(
    const std::vector<PortRequest>& requests, const kernel::IpAddress& container_ip) {
    auto state = state_.lock();
    std::vector<BoundPort> bound;
    for (const PortRequest& request : requests) {
        Result<BoundPort> port = reserve_one(*state, request, container_ip);
        if (!port.ok()) {
            for (const BoundPort& undo : bound) {
                state->sockets.erase({undo.protocol, undo.host_port, undo.host_ip});
            }
            return std::move(port).error();
        }
        bound.push_back(port.value());
    }
    return bound;
}

Result<BoundPort> PortReservations::reserve_one(
    State& state, const PortRequest& request, const kernel::IpAddress& container_ip) {
    if (!request.host_ip.is_v4()) {
        return not_implemented("publishing ports on IPv6 addresses is not supported");
    }
    if (request.host_port == 0) {
        return reserve_ephemeral(state, request, container_ip);
    }
    const std::uint16_t last = std::max(request.host_port, request.host_port_end);
    std::optional<Error> failure;
    for (std::uint32_t number = request.host_port; number <= last; ++number) {
        const auto port = static_cast<std::uint16_t>(number);
        if (is_allocated(state, request, port)) {
            failure = already_allocated(request.host_ip, port);
            continue;
        }
        Result<UniqueFd> socket = bind_port(request.protocol, request.host_ip, port);
        if (socket.ok()) {
            const BoundPort bound{request.protocol, request.container_port, request.host_ip, port};
            hold(state, bound, std::move(socket).value());
            return bound;
        }
        failure = bind_failed(request, port, container_ip, socket.error().error_number());
    }
    if (last > request.host_port) {
        return conflict("all ports are allocated");
    }
    return *std::move(failure);
}

Result<BoundPort> PortReservations::reserve_ephemeral(
    State& state, const PortRequest& request, const kernel::IpAddress& container_ip) {
    const PortRange range = ephemeral_range();
    const std::uint32_t count = static_cast<std::uint32_t>(range.last - range.first) + 1;
    const std::uint32_t start =
        state.last_ephemeral >= range.first && state.last_ephemeral <= range.last
            ? static_cast<std::uint32_t>(state.last_ephemeral - range.first) + 1
            : 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto port = static_cast<std::uint16_t>(range.first + (start + i) % count);
        if (is_allocated(state, request, port)) {
            continue;
        }
        Result<UniqueFd> socket = bind_port(request.protocol, request.host_ip, port);
        if (socket.ok()) {
            state.last_ephemeral = port;
            const BoundPort bound{request.protocol, request.container_port, request.host_ip, port};
            hold(state, bound, std::move(socket).value());
            return bound;
        }
        if (socket.error().error_number() != EADDRINUSE) {
            return bind_failed(request, port, container_ip, socket.error().error_number());
        }
    }
    return conflict("all ports are allocated");
}

bool PortReservations::is_allocated(
    const State& state, const PortRequest& request, std::uint16_t port) {
    for (auto entry = state.sockets.lower_bound({request.protocol, port, kernel::IpAddress()});
         entry != state.sockets.end();
         ++entry) {
        const auto& [protocol, held_port, held_ip] = entry->first;
        if (protocol != request.protocol || held_port != port) {
            return false;
        }
        if (held_ip == request.host_ip || held_ip.is_unspecified() ||
            request.host_ip.is_unspecified()) {
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
    auto state = state_.lock();
    for (const BoundPort& port : ports) {
        state->sockets.erase({port.protocol, port.host_port, port.host_ip});
    }
}

Result<void> PortReservations::restore(const std::vector<BoundPort>& ports) {
    auto state = state_.lock();
    std::optional<Error> failure;
    for (const BoundPort& port : ports) {
        Result<UniqueFd> socket = bind_port(port.protocol, port.host_ip, port.host_port);
        if (!socket.ok()) {
            failure = std::move(socket).error().with_context(
                "hold port " + port.host_ip.to_string() + ":" + std::to_string(port.host_port));
        }
        // Without a socket it is still ours: no other container may have it.
        hold(*state, port, socket.ok() ? std::move(socket).value() : UniqueFd());
    }
    if (failure) {
        return *std::move(failure);
    }
    return ok();
}

} // namespace berth::network
