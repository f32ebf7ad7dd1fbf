// SPDX-License-Identifier: Apache-2.0
// rtnetlink answers. Attributes of unexpected length are left out, not trusted.
#include "kernel/netlink_route.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

#include <sys/socket.h>

namespace berth::kernel {
namespace {

std::optional<std::uint32_t> u32_of(const nlattr& attribute) {
    if (mnl_attr_get_payload_len(&attribute) != sizeof(std::uint32_t)) {
        return std::nullopt;
    }
    return mnl_attr_get_u32(&attribute);
}

std::optional<IpAddress> address_of(const nlattr& attribute) {
    const std::size_t size = mnl_attr_get_payload_len(&attribute);
    if (size != 4 && size != 16) {
        return std::nullopt;
    }
    const auto* bytes = static_cast<const std::uint8_t*>(mnl_attr_get_payload(&attribute));
    return IpAddress::from_bytes({bytes, size});
}

bool is_forwarding(const nlattr& port_data) {
    for (const nlattr* attribute : attributes_of(port_data)) {
        if (mnl_attr_get_type(attribute) == IFLA_BRPORT_STATE &&
            mnl_attr_get_payload_len(attribute) == 1) {
            return mnl_attr_get_u8(attribute) == BR_STATE_FORWARDING;
        }
    }
    return false;
}

void parse_link_info(const nlattr& link_info, Link& link) {
    std::string port_kind;
    for (const nlattr* attribute : attributes_of(link_info)) {
        const std::uint16_t type = mnl_attr_get_type(attribute);
        if (type == IFLA_INFO_KIND) {
            link.kind = string_of(*attribute);
        } else if (type == IFLA_INFO_SLAVE_KIND) {
            port_kind = string_of(*attribute);
        } else if (type == IFLA_INFO_SLAVE_DATA && port_kind == "bridge") {
            link.forwarding = is_forwarding(*attribute);
        }
    }
}

// Of the values that a link's IPv6 is set to: DEVCONF_MTU6, 0 without it.
std::uint32_t mtu_v6_of(const nlattr& families) {
    constexpr std::size_t place = DEVCONF_MTU6 * sizeof(std::uint32_t);
    for (const nlattr* family : attributes_of(families)) {
        if (mnl_attr_get_type(family) != AF_INET6) {
            continue;
        }
        for (const nlattr* attribute : attributes_of(*family)) {
            std::uint32_t mtu = 0;
            if (mnl_attr_get_type(attribute) == IFLA_INET6_CONF &&
                mnl_attr_get_payload_len(attribute) >= place + sizeof mtu) {
                const auto* values = static_cast<const std::byte*>(mnl_attr_get_payload(attribute));
                std::memcpy(&mtu, values + place, sizeof mtu);
                return mtu;
            }
        }
    }
    return 0;
}

// The fixed part of a message of one of the types, or nullptr.
template <class Fixed>
const Fixed* fixed_part(const nlmsghdr& header, std::uint16_t type) {
    if (header.nlmsg_type != type || mnl_nlmsg_get_payload_len(&header) < sizeof(Fixed)) {
        return nullptr;
    }
    return static_cast<const Fixed*>(mnl_nlmsg_get_payload(&header));
}

std::uint32_t mtu_of(const nlattr& metrics) {
    for (const nlattr* attribute : attributes_of(metrics)) {
        if (mnl_attr_get_type(attribute) == RTAX_MTU) {
            return u32_of(*attribute).value_or(0);
        }
    }
    return 0;
}

IpPrefix everything(unsigned char family) {
    static constexpr std::array<std::uint8_t, 16> zero{};
    return {IpAddress::from_bytes(std::span(zero).first(family == AF_INET ? 4U : 16U)), 0};
}

} // namespace

std::optional<Link> parse_link(const nlmsghdr& header) {
    const auto* fixed = fixed_part<ifinfomsg>(header, RTM_NEWLINK);
    if (fixed == nullptr) {
        return std::nullopt;
    }
    Link link;
    link.index = fixed->ifi_index;
    link.up = (fixed->ifi_flags & IFF_UP) != 0;
    for (const nlattr* attribute : attributes_of(header, sizeof(ifinfomsg))) {
        const std::uint16_t type = mnl_attr_get_type(attribute);
        if (type == IFLA_IFNAME) {
            link.name = string_of(*attribute);
        } else if (type == IFLA_IFALIAS) {
            link.alias = string_of(*attribute);
        } else if (type == IFLA_MTU) {
            link.mtu = u32_of(*attribute).value_or(0);
        } else if (type == IFLA_AF_SPEC) {
            link.mtu_v6 = mtu_v6_of(*attribute);
        } else if (type == gso_ipv4_max_size_attribute) {
            link.gso_ipv4_max_size = u32_of(*attribute).value_or(0);
        } else if (type == IFLA_MASTER) {
            link.master = static_cast<int>(u32_of(*attribute).value_or(0));
        } else if (type == IFLA_OPERSTATE && mnl_attr_get_payload_len(attribute) == 1) {
            link.operational = mnl_attr_get_u8(attribute) == IF_OPER_UP;
        } else if (type == IFLA_LINKINFO) {
            parse_link_info(*attribute, link);
        } else if (
            type == IFLA_ADDRESS && mnl_attr_get_payload_len(attribute) == link.mac.bytes.size()) {
            std::memcpy(
                link.mac.bytes.data(), mnl_attr_get_payload(attribute), link.mac.bytes.size());
        }
    }
    return link;
}

std::optional<LinkAddress> parse_address(const nlmsghdr& header) {
    const auto* fixed = fixed_part<ifaddrmsg>(header, RTM_NEWADDR);
    if (fixed == nullptr) {
        return std::nullopt;
    }
    std::optional<IpAddress> local;
    std::optional<IpAddress> address;
    for (const nlattr* attribute : attributes_of(header, sizeof(ifaddrmsg))) {
        if (mnl_attr_get_type(attribute) == IFA_LOCAL) {
            local = address_of(*attribute);
        } else if (mnl_attr_get_type(attribute) == IFA_ADDRESS) {
            address = address_of(*attribute);
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end's; IPv6 has no IFA_LOCAL.
    if (!local && !address) {
        return std::nullopt;
    }
    return LinkAddress{
        .index = static_cast<int>(fixed->ifa_index),
        .address = {local ? *local : *address, fixed->ifa_prefixlen},
    };
}

std::optional<Route> parse_route(const nlmsghdr& header) {
    const auto* fixed = fixed_part<rtmsg>(header, RTM_NEWROUTE);
    if (fixed == nullptr || (fixed->rtm_family != AF_INET && fixed->rtm_family != AF_INET6) ||
        fixed->rtm_type != RTN_UNICAST) {
        return std::nullopt;
    }
    Route route{.destination = everything(fixed->rtm_family), .gateway = std::nullopt};
    route.table = fixed->rtm_table;
    for (const nlattr* attribute : attributes_of(header, sizeof(rtmsg))) {
        const std::uint16_t type = mnl_attr_get_type(attribute);
        if (type == RTA_DST) {
            if (const std::optional<IpAddress> address = address_of(*attribute)) {
                route.destination = {*address, fixed->rtm_dst_len};
            }
        } else if (type == RTA_GATEWAY) {
            route.gateway = address_of(*attribute);
        } else if (type == RTA_OIF) {
            route.output_index = static_cast<int>(u32_of(*attribute).value_or(0));
        } else if (type == RTA_TABLE) { // the header has its last byte
            route.table = u32_of(*attribute).value_or(route.table);
        } else if (type == RTA_PRIORITY) {
            route.metric = u32_of(*attribute).value_or(0);
        } else if (type == RTA_METRICS) {
            route.mtu = mtu_of(*attribute);
        }
    }
    return route;
}

bool has_unusual_next_hop(const nlmsghdr& header) {
    if (fixed_part<rtmsg>(header, RTM_NEWROUTE) == nullptr) {
        return false;
    }
    return std::ranges::any_of(attributes_of(header, sizeof(rtmsg)), [](const nlattr* attribute) {
        const std::uint16_t type = mnl_attr_get_type(attribute);
        return type == RTA_VIA || type == RTA_ENCAP || type == RTA_MULTIPATH;
    });
}

bool is_ingress_queue(const nlmsghdr& header, int index) {
    const auto* fixed = fixed_part<tcmsg>(header, RTM_NEWQDISC);
    if (fixed == nullptr || fixed->tcm_ifindex != index) {
        return false;
    }
    // clsact has the place of the ingress queue.
    return fixed->tcm_parent == TC_H_INGRESS;
}

} // namespace berth::kernel
