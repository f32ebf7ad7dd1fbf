// SPDX-License-Identifier: Apache-2.0
// What the ports of a PortRelay share. All of it belongs to the relay's thread.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "network/port_relay.h"
#include "network/socket_loop.h"

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::network {

// A number of something that there may be, of which one port gets half at most.
class RelayBudget {
  public:
    explicit RelayBudget(std::size_t most)
        : most_(most) {}

    // `held` of them are the port's already. Whoever is refused may wait().
    bool take(std::size_t held);
    void give_back();

    // Called once, when something was given back.
    void wait(std::function<void()> wake) { waiting_.push_back(std::move(wake)); }

  private:
    std::size_t most_;
    std::size_t taken_ = 0;
    std::vector<std::function<void()>> waiting_;
};

// Empty pipes: a connection has one only while bytes wait in it.
class RelayPipes {
  public:
    Result<Pipe> take();
    // REQUIRES: it is empty.
    void give_back(Pipe pipe);

  private:
    std::vector<Pipe> spare_;
};

struct RelayParts {
    SocketLoop& loop;
    RelayLimits limits;
    RelayBudget connections;
    RelayBudget datagram_clients;
    RelayPipes pipes{};
    std::vector<std::byte> datagram{}; // the one that is being passed on
};

// Where a port leads: an address of a container, of either family.
class RelayTarget {
  public:
    RelayTarget(const kernel::IpAddress& container, std::uint16_t port);

    int family() const { return address_.ss_family; }

    const sockaddr* address() const;

    socklen_t size() const { return size_; }

  private:
    sockaddr_storage address_{};
    socklen_t size_ = 0;
};

// A port of the host, and where it leads.
class RelayedPort {
  public:
    virtual ~RelayedPort() = default;
    virtual Result<void> open() = 0;
    virtual void close() = 0;
};

// Descriptors of the relay stay for long, many of them: see kernel::keep_apart.
Result<UniqueFd> open_relay_socket(int family, int type);

// The filter that kept clients away while the port was only held.
Result<void> let_clients_in(FdRef socket);

} // namespace berth::network
