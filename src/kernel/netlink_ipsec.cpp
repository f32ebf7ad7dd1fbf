// SPDX-License-Identifier: Apache-2.0
// Layout: include/uapi/linux/xfrm.h, XFRM_MSG_GETSPDINFO.
#include "kernel/netlink_ipsec.h"

#include "kernel/netlink_socket.h"

#include <libmnl/libmnl.h>
#include <linux/xfrm.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace berth::kernel {

Result<bool> has_ipsec_policies() {
    constexpr int xfrm_protocol = 6; // NETLINK_XFRM
    Result<NetlinkSocket> socket = NetlinkSocket::open(xfrm_protocol);
    if (!socket.ok()) {
        if (socket.error().error_number() == EPROTONOSUPPORT) {
            return false;
        }
        return std::move(socket).error();
    }
    NetlinkBatch request;
    const std::uint32_t flags = 0;
    request.begin(XFRM_MSG_GETSPDINFO, 0, struct_bytes(flags), "count the policies of IPsec");
    std::uint32_t policies = 0;
    TRY(socket->query(request, [&](const nlmsghdr& message) {
        if (message.nlmsg_type != XFRM_MSG_NEWSPDINFO) {
            return;
        }
        for (const nlattr* attribute : attributes_of(message, sizeof flags)) {
            xfrmu_spdinfo info{};
            if (mnl_attr_get_type(attribute) == XFRMA_SPD_INFO &&
                mnl_attr_get_payload_len(attribute) == sizeof info) {
                std::memcpy(&info, mnl_attr_get_payload(attribute), sizeof info);
                policies = info.outcnt + info.fwdcnt + info.incnt;
            }
        }
    }));
    return policies != 0;
}

} // namespace berth::kernel
