// SPDX-License-Identifier: Apache-2.0
// Carries what clients send to ports of the host that the kernel does not lead to a container: IPv6
// ports of a container that has an IPv4 address only, and all IPv6 ports without a firewall for
// IPv6. One thread for all ports; bytes of TCP
// connections pass from socket to socket within the kernel (splice). The container sees the host's
// own address as the client's. What docker-proxy does for such ports; decision 0048.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "base/unique_fd.h"
#include "kernel/netlink_address.h"
#include "network/port_publisher.h"
#include "network/socket_loop.h"

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <thread>
#include <tuple>
#include <vector>

namespace berth::network {

struct RelayLimits {
    // Of all ports together; each port may have half of them. More clients than that wait in the
    // kernel's queue of their port until a connection ends.
    std::size_t connections = 0;
    // The same of senders of datagrams: those that were longest silent, first among those that were
    // never answered, make room.
    std::size_t datagram_clients = 0;
    // A sender of datagrams is forgotten when neither it nor the container has sent for so long.
    std::chrono::milliseconds datagram_idle = std::chrono::seconds(90);

    // As many as use a fifth of the descriptors that this process may have at most.
    static RelayLimits of_this_process();
};

class RelayedPort;
struct RelayParts;

// Thread-safe.
class PortRelay {
  public:
    static Result<std::unique_ptr<PortRelay>>
    start(const RelayLimits& limits = RelayLimits::of_this_process());
    // All that it carries ends.
    ~PortRelay();
    PortRelay(const PortRelay&) = delete;
    PortRelay& operator=(const PortRelay&) = delete;

    // From now on the socket, which is bound to the host's IPv6 port (TCP, UDP), leads to the
    // container's address.
    void add(const BoundPort& port, UniqueFd socket, const kernel::IpAddress& container);

    // Ends connections, delivers what has arrived from a container that has said all, and closes
    // the sockets before it returns. Ports that it does not carry are fine.
    void remove(const std::vector<BoundPort>& ports);

  private:
    using Key = std::tuple<Protocol, std::uint16_t, kernel::IpAddress>;

    PortRelay(std::unique_ptr<SocketLoop> loop, const RelayLimits& limits);

    std::unique_ptr<SocketLoop> loop_;
    std::unique_ptr<RelayParts> parts_; // the thread's
    Synchronized<std::map<Key, std::shared_ptr<RelayedPort>>> ports_;
    std::thread thread_;
};

} // namespace berth::network
