// SPDX-License-Identifier: Apache-2.0
// The short way from the host's loopback address to a published TCP port: a connection to 127.0.0.1
// or [::1] is led to the container's own address when it is opened, by an eBPF program at
// connect(2), instead of packet by packet by address translation. The client is told the address
// that it asked for by getpeername(2), and the container sees the bridge's address, as by
// translation. Decision 0040.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/bpf.h"
#include "network/port_publisher.h"

#include <optional>
#include <vector>

namespace berth::network {

// Thread-safe. Its programs end with it: what is published is then reached by the firewall's rules,
// which are there all the time.
class LoopbackShortcut {
  public:
    // For clients in the network namespace of this thread. Without the short way where the kernel
    // has it not (before 5.14) or does not let us, which is said in the log.
    static LoopbackShortcut open();

    // TCP ports at all addresses of the host or at the loopback address lead to the container from
    // now on; others, and those that find no room, are left to the firewall.
    void add(const std::vector<BoundPort>& ports, const ContainerAddresses& container);
    void remove(const std::vector<BoundPort>& ports);

  private:
    struct Parts {
        kernel::BpfHash ports; // family and port of the host -> address and port of a container
        UniqueFd asked;        // at each such socket: what was asked for, what it became
        std::vector<UniqueFd> links;
    };

    explicit LoopbackShortcut(std::optional<Parts> parts)
        : parts_(std::move(parts)) {}

    static Result<Parts> make();

    std::optional<Parts> parts_;
};

} // namespace berth::network
