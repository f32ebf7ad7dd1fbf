// SPDX-License-Identifier: Apache-2.0
// The links' attribute gso_ipv4_max_size.
#include "network/big_tcp.h"

#include "base/log.h"

namespace berth::network {

bool lacks_big_packets(const kernel::Link& link) {
    return link.gso_ipv4_max_size != 0 && link.gso_ipv4_max_size < big_packet_size;
}

void allow_big_packets(kernel::RouteSocket& host, const std::vector<int>& links) {
    if (links.empty()) {
        return;
    }
    kernel::RouteBatch batch;
    for (const int link : links) {
        batch.change_link(link, {.gso_ipv4_max_size = big_packet_size});
    }
    // Each request's own error is ignored: EINVAL is the answer of a bridge that has, say, a
    // network card as a port, which takes no more, and packets go on in their usual size.
    const Result<std::vector<int>> errors = host.execute_each(batch);
    if (!errors.ok()) {
        log::debug("cannot allow large packets, ignoring", {{"error", errors.error().message()}});
    }
}

} // namespace berth::network
