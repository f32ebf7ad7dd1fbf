// SPDX-License-Identifier: Apache-2.0
// The message that makes such a route.
#include "kernel/netlink_local_route.h"

#include <linux/rtnetlink.h>

#include <sys/socket.h>

namespace berth::kernel {

void add_local_route(
    RouteBatch& batch, const IpPrefix& destination, int index, std::uint32_t metric) {
    rtmsg header{};
    header.rtm_family = destination.address.is_v4() ? AF_INET : AF_INET6;
    header.rtm_dst_len = destination.length;
    header.rtm_table = RT_TABLE_LOCAL;
    header.rtm_protocol = RTPROT_STATIC;
    header.rtm_scope = RT_SCOPE_HOST;
    header.rtm_type = RTN_LOCAL;
    NetlinkBatch& messages = batch.messages();
    messages.begin(
        RTM_NEWROUTE,
        NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
        struct_bytes(header),
        "add a local route to " + destination.to_string());
    messages.put_bytes(RTA_DST, destination.address.bytes());
    messages.put_u32(RTA_OIF, static_cast<std::uint32_t>(index));
    messages.put_u32(RTA_PRIORITY, metric);
}

} // namespace berth::kernel
