// SPDX-License-Identifier: Apache-2.0
// Sockets for the tests of relayed ports. Whatever does not happen within seconds is a failure.
#pragma once

#include "base/unique_fd.h"
#include "network/port_relay.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace berth::network {

// A relay whose ports of [::] lead to port 80 of 127.0.0.1.
class RelayedTestPort {
  public:
    // 8080 is there from the start.
    RelayedTestPort(Protocol protocol, const RelayLimits& limits);

    void add(Protocol protocol, std::uint16_t host_port);
    void remove();

  private:
    std::unique_ptr<PortRelay> relay_;
    std::vector<BoundPort> ports_;
};

UniqueFd bind_at(Protocol protocol, const std::string& address, std::uint16_t port);
UniqueFd listen_at(const std::string& address, std::uint16_t port);
UniqueFd accept_at(const UniqueFd& listener);
// Whether one comes within a moment.
bool has_client(const UniqueFd& listener);
// Empty, and errno, on an error. receive_buffer 0: as large as the kernel likes.
UniqueFd connect_to(
    Protocol protocol, const std::string& address, std::uint16_t port, int receive_buffer = 0);

void send_all(const UniqueFd& socket, std::string_view text);
std::string receive(const UniqueFd& socket, std::size_t size);
// Until the end; a reset adds "reset", no end within seconds "timeout".
std::string receive_all(const UniqueFd& socket);
void reset(UniqueFd socket);

} // namespace berth::network
