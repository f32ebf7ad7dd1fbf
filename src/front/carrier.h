// SPDX-License-Identifier: Apache-2.0
// Carrier: what a berth-front process does. Handshakes run in its own loop, relays in the thread
// that they have everywhere: what is attached does not wait for the arithmetic of a newcomer.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "front/protocol.h"
#include "http/relay.h"
#include "http/tls.h"
#include "io/event_loop.h"

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace berth::front {

// A session of its own, deaf to signals that are meant for others, and without any privilege. What
// must be loaded is loaded by then. REQUIRES: no other thread runs.
Result<void> become_front();

class Carrier {
  public:
    static Result<std::unique_ptr<Carrier>> create(UniqueFd control);
    Carrier(const Carrier&) = delete;
    Carrier& operator=(const Carrier&) = delete;
    ~Carrier();

    // Until the engine is gone and everything that was carried has ended.
    void run();

  private:
    class Handshake;

    Carrier(std::unique_ptr<io::EventLoop> loop, UniqueFd control);

    void receive();
    // False: there is nothing more to receive now.
    bool receive_one();
    Result<void> obey(Message message, std::vector<UniqueFd> descriptors);
    void forget(std::uint64_t handshake);
    void stop_if_idle();

    std::unique_ptr<io::EventLoop> loop_;
    UniqueFd control_; // empty once the engine is gone
    std::shared_ptr<http::TlsContext> tls_;
    std::map<std::uint64_t, std::unique_ptr<Handshake>> handshakes_;
    std::uint64_t next_handshake_ = 1;
    std::size_t forgotten_ = 0; // handshakes, since memory was given back
    http::Relays relays_;
};

} // namespace berth::front
