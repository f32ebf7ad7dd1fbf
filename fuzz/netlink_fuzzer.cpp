// SPDX-License-Identifier: Apache-2.0
// Netlink answers: acknowledgements, links, addresses, routes, chains, connections.
#include "kernel/netlink_conntrack.h"
#include "kernel/netlink_link_watch.h"
#include "kernel/netlink_route.h"
#include "kernel/nftables.h"

#include <linux/netlink.h>

#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // As recv(2) fills it: aligned, and exactly as long as what came.
    std::vector<nlmsghdr> aligned(size / sizeof(nlmsghdr) + 1);
    std::memcpy(static_cast<void*>(aligned.data()), data, size);
    const std::span<const std::byte> bytes = std::as_bytes(std::span(aligned)).first(size);
    berth::kernel::parse_netlink_replies(bytes);
    berth::kernel::LinkNews news;
    berth::kernel::note_links(bytes, news);
    const nlmsghdr& header = aligned.front();
    if (size < sizeof(nlmsghdr) || header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > size) {
        return 0;
    }
    berth::kernel::parse_link(header);
    berth::kernel::parse_address(header);
    berth::kernel::parse_route(header);
    berth::kernel::parse_nft_chain(header);
    berth::kernel::parse_connection(header);
    berth::kernel::parse_tcp_flow(header);
    berth::kernel::is_ingress_queue(header, 1);
    berth::kernel::has_unusual_next_hop(header);
    return 0;
}
