// SPDX-License-Identifier: Apache-2.0
// Connection tracking over netlink. Layout: include/uapi/linux/netfilter/nfnetlink_conntrack.h.
#include "kernel/netlink_conntrack.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <endian.h>

namespace berth::kernel {
namespace {

// Bits of CTA_FILTER_REPLY_FLAGS and CTA_FILTER_ORIG_FLAGS (net/netfilter/nf_conntrack_netlink.c).
constexpr std::uint32_t filter_source_address = 1U << 0;

std::uint16_t conntrack_message(std::uint16_t message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
}

nfgenmsg header_for(IpFamily family) {
    const std::uint8_t number =
        family == IpFamily::V4 ? std::uint8_t{NFPROTO_IPV4} : std::uint8_t{NFPROTO_IPV6};
    return {.nfgen_family = number, .version = NFNETLINK_V0, .res_id = 0};
}

std::span<const std::uint8_t> payload_of(const nlattr& attribute) {
    return {
        static_cast<const std::uint8_t*>(mnl_attr_get_payload(&attribute)),
        mnl_attr_get_payload_len(&attribute)};
}

const nlattr* find(const std::vector<const nlattr*>& attributes, std::uint16_t type) {
    for (const nlattr* attribute : attributes) {
        if (mnl_attr_get_type(attribute) == type) {
            return attribute;
        }
    }
    return nullptr;
}

// An attribute of an attribute of a tuple, with exactly that many bytes; empty when absent.
std::span<const std::uint8_t>
field_of(const nlattr& tuple, std::uint16_t outer, std::uint16_t inner, std::size_t size) {
    const nlattr* group = find(attributes_of(tuple), outer);
    const nlattr* field = group == nullptr ? nullptr : find(attributes_of(*group), inner);
    if (field == nullptr || payload_of(*field).size() != size) {
        return {};
    }
    return payload_of(*field);
}

bool matches(const TrackedConnection& connection, const ConnectionMatch& match) {
    return connection.protocol == match.protocol &&
           (!match.destination_port || *match.destination_port == connection.destination_port) &&
           (!match.reply_source || *match.reply_source == connection.reply_source);
}

// Kernels from 5.8 on answer with what matches only; older ones ignore the filter.
void put_filter(NetlinkBatch& request, const IpAddress& reply_source) {
    request.begin_nested(CTA_TUPLE_REPLY);
    request.begin_nested(CTA_TUPLE_IP);
    request.put_bytes(reply_source.is_v4() ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, reply_source.bytes());
    request.end_nested();
    request.end_nested();
    request.begin_nested(CTA_FILTER);
    request.put_u32(CTA_FILTER_ORIG_FLAGS, 0);
    request.put_u32(CTA_FILTER_REPLY_FLAGS, filter_source_address);
    request.end_nested();
}

// Points into the message.
struct Described {
    std::vector<const nlattr*> attributes;
    const nlattr* original;
    const nlattr* reply;
};

std::optional<Described> describe(const nlmsghdr& header) {
    if (header.nlmsg_type != conntrack_message(IPCTNL_MSG_CT_NEW) ||
        mnl_nlmsg_get_payload_len(&header) < sizeof(nfgenmsg)) {
        return std::nullopt;
    }
    std::vector<const nlattr*> attributes = attributes_of(header, sizeof(nfgenmsg));
    const nlattr* original = find(attributes, CTA_TUPLE_ORIG);
    const nlattr* reply = find(attributes, CTA_TUPLE_REPLY);
    if (original == nullptr || reply == nullptr) {
        return std::nullopt;
    }
    return Described{std::move(attributes), original, reply};
}

std::array<std::uint8_t, 2> network_order(std::uint16_t port) {
    return {static_cast<std::uint8_t>(port >> 8U), static_cast<std::uint8_t>(port & 0xffU)};
}

void put_tuple(NetlinkBatch& request, const FlowTuple& tuple) {
    const bool v4 = tuple.source.is_v4();
    request.begin_nested(CTA_TUPLE_ORIG);
    request.begin_nested(CTA_TUPLE_IP);
    request.put_bytes(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, tuple.source.bytes());
    request.put_bytes(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, tuple.destination.bytes());
    request.end_nested();
    request.begin_nested(CTA_TUPLE_PROTO);
    request.put_u8(CTA_PROTO_NUM, IPPROTO_TCP);
    request.put_bytes(CTA_PROTO_SRC_PORT, network_order(tuple.source_port));
    request.put_bytes(CTA_PROTO_DST_PORT, network_order(tuple.destination_port));
    request.end_nested();
    request.end_nested();
}

// Of a tuple, of whichever family it is; empty when absent.
std::span<const std::uint8_t>
address_in(const nlattr& tuple, std::uint16_t v4_field, std::uint16_t v6_field) {
    const auto v4 = field_of(tuple, CTA_TUPLE_IP, v4_field, 4);
    return v4.empty() ? field_of(tuple, CTA_TUPLE_IP, v6_field, 16) : v4;
}

std::optional<FlowTuple> tuple_of(const nlattr& attribute) {
    const auto protocol = field_of(attribute, CTA_TUPLE_PROTO, CTA_PROTO_NUM, 1);
    const auto from = address_in(attribute, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
    const auto to = address_in(attribute, CTA_IP_V4_DST, CTA_IP_V6_DST);
    const auto from_port = field_of(attribute, CTA_TUPLE_PROTO, CTA_PROTO_SRC_PORT, 2);
    const auto to_port = field_of(attribute, CTA_TUPLE_PROTO, CTA_PROTO_DST_PORT, 2);
    if (protocol.empty() || protocol[0] != IPPROTO_TCP || from.empty() ||
        from.size() != to.size() || from_port.empty() || to_port.empty()) {
        return std::nullopt;
    }
    return FlowTuple{
        .source = IpAddress::from_bytes(from),
        .destination = IpAddress::from_bytes(to),
        .source_port = static_cast<std::uint16_t>(from_port[0] << 8 | from_port[1]),
        .destination_port = static_cast<std::uint16_t>(to_port[0] << 8 | to_port[1])};
}

bool is_established(const std::vector<const nlattr*>& attributes) {
    const nlattr* status = find(attributes, CTA_STATUS);
    const nlattr* details = find(attributes, CTA_PROTOINFO);
    if (status == nullptr || details == nullptr ||
        payload_of(*status).size() != sizeof(std::uint32_t)) {
        return false;
    }
    const std::uint32_t bits = be32toh(mnl_attr_get_u32(status));
    const auto state = field_of(*details, CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE, 1);
    return (bits & IPS_ASSURED) != 0 && (bits & IPS_DYING) == 0 && !state.empty() &&
           state[0] == TCP_CONNTRACK_ESTABLISHED;
}

} // namespace

std::optional<TrackedFlow> parse_tcp_flow(const nlmsghdr& header) {
    const std::optional<Described> described = describe(header);
    if (!described) {
        return std::nullopt;
    }
    const std::optional<FlowTuple> there = tuple_of(*described->original);
    const std::optional<FlowTuple> back = tuple_of(*described->reply);
    if (!there || !back) {
        return std::nullopt;
    }
    return TrackedFlow{
        .original = *there,
        .reply = *back,
        .established = is_established(described->attributes),
        .rewritten = find(described->attributes, CTA_HELP) != nullptr ||
                     find(described->attributes, CTA_SEQ_ADJ_ORIG) != nullptr ||
                     find(described->attributes, CTA_SEQ_ADJ_REPLY) != nullptr ||
                     find(described->attributes, CTA_SYNPROXY) != nullptr};
}

Result<std::optional<TrackedFlow>> find_tcp_flow(NetlinkSocket& socket, const FlowTuple& tuple) {
    NetlinkBatch request;
    request.begin(
        conntrack_message(IPCTNL_MSG_CT_GET),
        0,
        struct_bytes(header_for(tuple.source.family())),
        "look up a tracked connection");
    put_tuple(request, tuple);
    std::optional<TrackedFlow> flow;
    Result<void> answered =
        socket.query(request, [&](const nlmsghdr& message) { flow = parse_tcp_flow(message); });
    if (!answered.ok() && answered.error().error_number() != ENOENT) {
        return std::move(answered).error();
    }
    return flow;
}

Result<void> let_flow_skip_windows(NetlinkSocket& socket, const FlowTuple& tuple) {
    static constexpr std::array<std::uint8_t, 2> liberal{
        IP_CT_TCP_FLAG_BE_LIBERAL, IP_CT_TCP_FLAG_BE_LIBERAL}; // struct nf_ct_tcp_flags
    NetlinkBatch change;
    change.begin(
        conntrack_message(IPCTNL_MSG_CT_NEW),
        NLM_F_ACK,
        struct_bytes(header_for(tuple.source.family())),
        "let a tracked connection skip windows");
    put_tuple(change, tuple);
    change.begin_nested(CTA_PROTOINFO);
    change.begin_nested(CTA_PROTOINFO_TCP);
    change.put_bytes(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, liberal);
    change.put_bytes(CTA_PROTOINFO_TCP_FLAGS_REPLY, liberal);
    change.end_nested();
    change.end_nested();
    return socket.execute(change);
}

std::optional<TrackedConnection> parse_connection(const nlmsghdr& header) {
    const std::optional<Described> described = describe(header);
    if (!described) {
        return std::nullopt;
    }
    const auto protocol = field_of(*described->original, CTA_TUPLE_PROTO, CTA_PROTO_NUM, 1);
    const auto port = field_of(*described->original, CTA_TUPLE_PROTO, CTA_PROTO_DST_PORT, 2);
    const auto source = address_in(*described->reply, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
    if (protocol.empty() || port.empty() || source.empty()) {
        return std::nullopt;
    }
    const std::span<const std::uint8_t> description = payload_of(*described->original);
    return TrackedConnection{
        .protocol = protocol[0],
        .destination_port = static_cast<std::uint16_t>(port[0] << 8 | port[1]),
        .reply_source = IpAddress::from_bytes(source),
        .original = {description.begin(), description.end()},
    };
}

Result<std::size_t> forget_connections(NetlinkSocket& socket, const ConnectionMatch& match) {
    NetlinkBatch request;
    request.begin(
        conntrack_message(IPCTNL_MSG_CT_GET),
        NLM_F_DUMP,
        struct_bytes(header_for(match.family)),
        "list tracked connections");
    if (match.reply_source) {
        put_filter(request, *match.reply_source);
    }
    std::vector<TrackedConnection> found;
    TRY(socket.dump(
        request,
        [&] { found.clear(); },
        [&](const nlmsghdr& message) {
            std::optional<TrackedConnection> connection = parse_connection(message);
            if (connection && matches(*connection, match)) {
                found.push_back(std::move(*connection));
            }
        }));
    std::size_t forgotten = 0;
    for (const TrackedConnection& connection : found) {
        NetlinkBatch removal;
        removal.begin(
            conntrack_message(IPCTNL_MSG_CT_DELETE),
            NLM_F_ACK,
            struct_bytes(header_for(match.family)),
            "forget a tracked connection");
        removal.put_bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, connection.original);
        const Result<void> removed = socket.execute(removal);
        // ENOENT: it ended by itself meanwhile.
        if (!removed.ok() && removed.error().error_number() != ENOENT) {
            return removed.error();
        }
        forgotten += removed.ok() ? 1 : 0;
    }
    return forgotten;
}

} // namespace berth::kernel
