// SPDX-License-Identifier: Apache-2.0
// The relay's thread and its ports.
#include "network/port_relay.h"

#include "base/log.h"
#include "base/without_sigpipe.h"
#include "kernel/process.h"
#include "network/port_relay_datagrams.h"
#include "network/port_relay_listener.h"
#include "network/port_relay_parts.h"

#include <algorithm>
#include <cerrno>
#include <future>

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

// A connection has two sockets, and two pipes at worst: a sixth of these parts.
constexpr std::size_t part_for_connections = 32;
constexpr std::size_t part_for_datagrams = 64;
constexpr std::size_t fewest = 16;
constexpr std::size_t most = 8192;

constexpr std::size_t spare_pipes = 16;

} // namespace

RelayTarget::RelayTarget(const kernel::IpAddress& container, std::uint16_t port) {
    // SAFETY: the storage is large enough and aligned for either.
    if (container.is_v4()) {
        auto* v4 = reinterpret_cast<sockaddr_in*>(&address_);
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        v4->sin_addr.s_addr = htonl(container.v4());
        size_ = sizeof *v4;
    } else {
        auto* v6 = reinterpret_cast<sockaddr_in6*>(&address_);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        std::ranges::copy(container.bytes(), v6->sin6_addr.s6_addr);
        size_ = sizeof *v6;
    }
}

const sockaddr* RelayTarget::address() const {
    // SAFETY: the sockets interface takes every address type through sockaddr.
    return reinterpret_cast<const sockaddr*>(&address_);
}

RelayLimits RelayLimits::of_this_process() {
    rlimit files{};
    const std::size_t all =
        ::getrlimit(RLIMIT_NOFILE, &files) == 0 ? static_cast<std::size_t>(files.rlim_cur) : 0;
    return {
        .connections = std::clamp(all / part_for_connections, fewest, most),
        .datagram_clients = std::clamp(all / part_for_datagrams, fewest, most)};
}

bool RelayBudget::take(std::size_t held) {
    if (taken_ >= most_ || held >= std::max<std::size_t>(most_ / 2, 1)) {
        return false;
    }
    ++taken_;
    return true;
}

void RelayBudget::give_back() {
    --taken_;
    for (const std::function<void()>& wake : std::exchange(waiting_, {})) {
        wake();
    }
}

Result<Pipe> RelayPipes::take() {
    if (!spare_.empty()) {
        Pipe pipe = std::move(spare_.back());
        spare_.pop_back();
        return pipe;
    }
    Pipe pipe = TRY(Pipe::create());
    pipe.read_end = kernel::keep_apart(std::move(pipe.read_end));
    pipe.write_end = kernel::keep_apart(std::move(pipe.write_end));
    return pipe;
}

void RelayPipes::give_back(Pipe pipe) {
    if (spare_.size() < spare_pipes) {
        spare_.push_back(std::move(pipe));
    }
}

Result<UniqueFd> open_relay_socket(int family, int type) {
    UniqueFd socket(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
        return errno_error("open a socket");
    }
    return kernel::keep_apart(std::move(socket));
}

Result<void> let_clients_in(FdRef socket) {
    const int flags = ::fcntl(socket.get(), F_GETFL);
    if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return errno_error("fcntl");
    }
    const int none = 0;
    // ENOENT: there is none.
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none) != 0 &&
        errno != ENOENT) {
        return errno_error("take a socket's filter away");
    }
    return ok();
}

PortRelay::PortRelay(std::unique_ptr<SocketLoop> loop, const RelayLimits& limits)
    : loop_(std::move(loop))
    , parts_(new RelayParts{
          .loop = *loop_,
          .limits = limits,
          .connections = RelayBudget(limits.connections),
          .datagram_clients = RelayBudget(limits.datagram_clients)}) {}

Result<std::unique_ptr<PortRelay>> PortRelay::start(const RelayLimits& limits) {
    std::unique_ptr<SocketLoop> loop = TRY(SocketLoop::create());
    std::unique_ptr<PortRelay> relay(new PortRelay(std::move(loop), limits));
    relay->thread_ = std::thread([running = relay->loop_.get()] {
        static_cast<void>(::pthread_setname_np(::pthread_self(), "relay"));
        const WithoutSigpipe guard; // splice(2) to a connection that the other side has ended
        running->run();
    });
    return relay;
}

PortRelay::~PortRelay() {
    loop_->stop();
    thread_.join();
    auto ports = ports_.lock();
    for (const auto& [key, port] : *ports) {
        port->close();
    }
}

void PortRelay::add(const BoundPort& port, UniqueFd socket, const kernel::IpAddress& container) {
    const RelayTarget target(container, port.container_port);
    std::shared_ptr<RelayedPort> relayed;
    if (port.protocol == Protocol::Udp) {
        relayed = RelayDatagrams::create(*parts_, std::move(socket), target);
    } else {
        relayed = RelayListener::create(*parts_, std::move(socket), target);
    }
    (*ports_.lock())[{port.protocol, port.host_port, port.host_ip}] = relayed;
    loop_->post([relayed] {
        const Result<void> opened = relayed->open();
        if (!opened.ok()) {
            log::warn(
                "a published port is not served, ignoring", {{"error", opened.error().message()}});
        }
    });
}

void PortRelay::remove(const std::vector<BoundPort>& ports) {
    std::vector<std::shared_ptr<RelayedPort>> closing;
    {
        auto guard = ports_.lock();
        for (const BoundPort& port : ports) {
            auto found = guard->extract({port.protocol, port.host_port, port.host_ip});
            if (!found.empty()) {
                closing.push_back(std::move(found.mapped()));
            }
        }
    }
    if (closing.empty()) {
        return;
    }
    std::promise<void> closed;
    loop_->post([&] {
        for (const std::shared_ptr<RelayedPort>& port : closing) {
            port->close();
        }
        closed.set_value();
    });
    closed.get_future().wait();
}

} // namespace berth::network
