// SPDX-License-Identifier: Apache-2.0
// The redirection is stateless and sits at the ingress of the loopback device (nf_tables, family
// netdev): what goes over the container's other interfaces does not meet it, and no packet of the
// namespace is tracked for its sake. Where the kernel lacks that family the same rules stand in the
// output hook. docs/decisions/0023 has the measurement.
#include "network/dns_sockets.h"

#include "base/strings.h"
#include "kernel/netlink_namespace.h"
#include "kernel/netlink_socket.h"
#include "kernel/nftables.h"

#include <linux/if_ether.h>

#include <algorithm>
#include <cerrno>

#include <net/if.h>

namespace berth::network {
namespace {

using kernel::NftBatch;
using kernel::NftFamily;

const std::string table = "berth_dns";
const std::string chain = "redirect";
constexpr std::int32_t raw_priority = -300; // before connection tracking, which sees one address
constexpr int tcp_backlog = 64;

std::uint16_t port_of(const UniqueFd& socket) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

Result<UniqueFd> bind_socket(int type) {
    UniqueFd socket(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
        return errno_error("open a socket for DNS");
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(dns_server_address);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return errno_error("bind to 127.0.0.11");
    }
    return socket;
}

void redirect(NftBatch& batch, NftFamily family, std::uint8_t protocol, std::uint16_t port) {
    const kernel::IpPrefix server{kernel::IpAddress::from_v4(dns_server_address), 32};
    const auto matching = [&](auto&& rule) -> kernel::NftRule& {
        return family == NftFamily::NetDevice ? rule.if_ether_type(ETH_P_IP) : rule;
    };
    matching(batch.rule(chain))
        .if_destination_in(server)
        .if_protocol(protocol)
        .if_destination_port(dns_server_port)
        .set_destination_port(protocol, port);
    matching(batch.rule(chain))
        .if_source_in(server)
        .if_protocol(protocol)
        .if_source_port(port)
        .set_source_port(protocol, dns_server_port);
}

enum class Existing : bool { Refuse, Replace };

Result<void> write_rules(NftFamily family, Existing existing, const DnsListeners& listeners) {
    kernel::NetlinkSocket socket = TRY(kernel::NetlinkSocket::open(kernel::netfilter_protocol));
    NftBatch batch(table, family);
    if (existing == Existing::Replace) {
        batch.add_table(); // deleting one that is not there would fail
        batch.delete_table();
    }
    batch.add_new_table();
    if (family == NftFamily::NetDevice) {
        batch.add_base_chain(
            chain,
            {.type = "filter", .hook = kernel::NftHook::Ingress, .priority = 0, .device = "lo"});
    } else {
        batch.add_base_chain(
            chain,
            {.type = "filter",
             .hook = kernel::NftHook::Output,
             .priority = raw_priority,
             .device = {}});
    }
    redirect(batch, family, IPPROTO_UDP, port_of(listeners.udp));
    redirect(batch, family, IPPROTO_TCP, port_of(listeners.tcp));
    return batch.commit(socket);
}

// A namespace is new nearly always, and replacing takes a hundred times as long.
Result<void> write_rules(NftFamily family, const DnsListeners& listeners) {
    Result<void> written = write_rules(family, Existing::Refuse, listeners);
    if (!written.ok() && written.error().error_number() == EEXIST) {
        return write_rules(family, Existing::Replace, listeners);
    }
    return written;
}

} // namespace

Result<DnsListeners> open_dns_listeners(FdRef netns) {
    const kernel::NetworkNamespaceScope scope = TRY(kernel::NetworkNamespaceScope::enter(netns));
    DnsListeners listeners;
    listeners.udp = TRY(bind_socket(SOCK_DGRAM));
    listeners.tcp = TRY(bind_socket(SOCK_STREAM));
    if (::listen(listeners.tcp.get(), tcp_backlog) != 0) {
        return errno_error("listen on 127.0.0.11");
    }
    const Result<void> written = write_rules(NftFamily::NetDevice, listeners);
    if (!written.ok()) {
        TRY_CONTEXT(write_rules(NftFamily::Ipv4, listeners), written.error().message());
    }
    return listeners;
}

SocketAddress SocketAddress::of(const kernel::IpAddress& ip, std::uint16_t port) {
    SocketAddress address;
    if (ip.is_v4()) {
        auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        v4->sin_addr.s_addr = htonl(ip.v4());
        address.size = sizeof *v4;
    } else {
        auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        std::copy(ip.bytes().begin(), ip.bytes().end(), v6->sin6_addr.s6_addr);
        address.size = sizeof *v6;
    }
    return address;
}

Result<SocketAddress> SocketAddress::of(const Nameserver& server, std::uint16_t port) {
    SocketAddress address = of(server.address, port);
    if (server.zone.empty()) {
        return address;
    }
    std::uint32_t index = ::if_nametoindex(server.zone.c_str());
    if (index == 0) {
        index = parse_number<std::uint32_t>(server.zone).value_or(0);
    }
    if (index == 0) {
        return not_found("a DNS server's interface " + server.zone + " is not there");
    }
    reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_scope_id = index;
    return address;
}

Result<UniqueFd> connect_to_dns_server(int type, const SocketAddress& server) {
    UniqueFd socket(::socket(server.storage.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
        return errno_error("open a socket for DNS");
    }
    if (::connect(socket.get(), server.get(), server.size) != 0 && errno != EINPROGRESS) {
        return errno_error("connect to a DNS server");
    }
    return socket;
}

} // namespace berth::network
