// SPDX-License-Identifier: Apache-2.0
// Published ports: which host port leads to which container port. The host port is reserved by a
// really bound socket, so that every other program on the machine sees it taken; traffic is sent on
// by the firewall (firewall.h), but for IPv6 ports that it does not lead anywhere, which go through
// this process (port_relay.h).
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "base/unique_fd.h"
#include "kernel/netlink_address.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace berth::network {

// Values are the IP protocol numbers.
enum class Protocol : std::uint8_t { Tcp = 6, Udp = 17, Sctp = 132 };

std::string_view to_string(Protocol protocol); // "tcp"
Result<Protocol> parse_protocol(std::string_view name);

// One container port that is asked for. host_port 0 picks a free one of the host's ephemeral range
// (32768-60999); host_port_end > host_port picks the first free of the range.
struct PortRequest {
    Protocol protocol = Protocol::Tcp;
    std::uint16_t container_port = 0;
    kernel::IpAddress host_ip; // 0.0.0.0 and ::: every address of the host, of that family
    std::uint16_t host_port = 0;
    std::uint16_t host_port_end = 0;
    // No address was named: the same port of 0.0.0.0 and of ::, as far as the container has
    // addresses of the two families.
    bool every_family = false;
};

class PortRelay;

// Where published ports lead. The kernel leads none to an address of the other family.
struct ContainerAddresses {
    std::optional<kernel::IpAddress> v4;
    std::optional<kernel::IpAddress> v6;
    // Gateway mode "routed": the container's own port is opened, no host port leads there.
    bool routed_v4 = false;
    bool routed_v6 = false;
    // IPv6 ports of the host that the firewall does not lead to an IPv6 address are relayed, to
    // that address or to the IPv4 one.
    bool relayed_v6 = false;
    bool translated_v6 = true; // the firewall leads IPv6 ports

    ContainerAddresses() = default;

    // NOLINTNEXTLINE(google-explicit-constructor): most containers have the one.
    ContainerAddresses(const kernel::IpAddress& one) { (one.is_v4() ? v4 : v6) = one; }

    const std::optional<kernel::IpAddress>& of(kernel::IpFamily family) const {
        return family == kernel::IpFamily::V4 ? v4 : v6;
    }

    bool routed(kernel::IpFamily family) const {
        return family == kernel::IpFamily::V4 ? routed_v4 : routed_v6;
    }

    bool relayed(kernel::IpFamily family) const {
        return family == kernel::IpFamily::V6 && relayed_v6 && !routed_v6 &&
               !leads_by_firewall(family) && relay_target();
    }

    bool leads_by_firewall(kernel::IpFamily family) const {
        return of(family) && (family == kernel::IpFamily::V4 || translated_v6);
    }

    const std::optional<kernel::IpAddress>& relay_target() const { return v6 ? v6 : v4; }

    // Where a host port of this family leads, or the container's own port in a routed network.
    std::optional<kernel::IpAddress> target(kernel::IpFamily family) const {
        if (relayed(family)) {
            return relay_target();
        }
        return routed(family) || leads_by_firewall(family) ? of(family) : std::nullopt;
    }
};

// One host port that leads to a container. Host port 0: the container's port is reached at its own
// address (gateway mode "routed"); host_ip then tells the family only.
struct BoundPort {
    Protocol protocol = Protocol::Tcp;
    std::uint16_t container_port = 0;
    kernel::IpAddress host_ip;
    std::uint16_t host_port = 0;

    bool operator==(const BoundPort&) const = default;
};

// Sockets that hold host ports. Thread-safe.
class PortReservations {
  public:
    // All or nothing. Conflict in Docker's words when a port is taken: "Bind for 0.0.0.0:8080
    // failed: port is already allocated" (by another container), "failed to bind host port for
    // 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use" (by another program).
    // A host address of a family that the container has not, and that is not relayed, is left out
    // as Docker leaves it out: the container may move to a network that has it. InvalidArgument for
    // SCTP that would have to be relayed from such an address.
    Result<std::vector<BoundPort>>
    reserve(const std::vector<PortRequest>& requests, const ContainerAddresses& container);
    void release(const std::vector<BoundPort>& ports);

    // Those of the ports that are held, and that the kernel cannot lead to the container, are
    // relayed to it from now on.
    Result<void> relay(const std::vector<BoundPort>& ports, const ContainerAddresses& container);

    // Holds again what was held before a restart. A port that another program took meanwhile is
    // left to it, with an Error for the log; the others are held.
    Result<void> restore(const std::vector<BoundPort>& ports);

  private:
    // The address comes last: a port's neighbours in the map are those it may collide with.
    using Key = std::tuple<Protocol, std::uint16_t, kernel::IpAddress>;

    struct State {
        std::map<Key, UniqueFd> sockets;    // empty: the relay has it, or nobody can
        std::shared_ptr<PortRelay> relay{}; // once there is something to relay
        std::uint16_t last_ephemeral = 0;
    };

    struct Candidate;

    static Result<std::vector<BoundPort>>
    reserve_one(State& state, const PortRequest& request, const ContainerAddresses& container);
    static Result<std::vector<BoundPort>>
    reserve_ephemeral(State& state, const Candidate& candidate);
    struct Attempt;
    // The same port of all the candidate's addresses, or none.
    static Attempt try_port(State& state, const Candidate& candidate, std::uint16_t port);
    static bool is_allocated(
        const State& state,
        Protocol protocol,
        const kernel::IpAddress& host_ip,
        std::uint16_t port);
    static void hold(State& state, const BoundPort& port, UniqueFd socket);

    Synchronized<State> state_;
};

} // namespace berth::network
