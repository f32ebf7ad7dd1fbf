// SPDX-License-Identifier: Apache-2.0
// Notifications of nf_tables: the messages that made a change, sent to a multicast group.
#include "kernel/nftables_monitor.h"

#include "kernel/netlink_message.h"
#include "kernel/netlink_socket.h"

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <sys/socket.h>

namespace berth::kernel {
namespace {

constexpr std::uint16_t table_attribute = 1; // NFTA_TABLE_NAME, NFTA_RULE_TABLE, NFTA_SET_TABLE, …

bool removes(std::uint16_t message_type) {
    if (message_type >> 8 != NFNL_SUBSYS_NFTABLES) {
        return false;
    }
    switch (message_type & 0xff) {
    case NFT_MSG_DELTABLE:
    case NFT_MSG_DELCHAIN:
    case NFT_MSG_DELRULE:
    case NFT_MSG_DELSET:
    case NFT_MSG_DELSETELEM:
        return true;
    }
    return false;
}

bool adds_chain(std::uint16_t message_type) {
    return message_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN);
}

bool is_about(const nlmsghdr& message, std::string_view table) {
    for (const nlattr* attribute : attributes_of(message, sizeof(nfgenmsg))) {
        if (mnl_attr_get_type(attribute) == table_attribute) {
            const auto* text = static_cast<const char*>(mnl_attr_get_payload(attribute));
            return std::string_view(text, ::strnlen(text, mnl_attr_get_payload_len(attribute))) ==
                   table;
        }
    }
    return false;
}

// Our own changes are many messages at once (a thousand networks' elements) and would overflow the
// queue, for nothing. A notification's messages are all of one requester.
Result<void> ignore_changes_of(const UniqueFd& socket, std::uint32_t port_id) {
    sock_filter program[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(nlmsghdr, nlmsg_pid)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, ntohl(port_id)}, // loads are in network order
        {BPF_RET | BPF_K, 0, 0, 0},
        {BPF_RET | BPF_K, 0, 0, UINT32_MAX},
    };
    const sock_fprog filter{.len = std::size(program), .filter = program};
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) {
        return errno_error("filter nf_tables notifications");
    }
    return ok();
}

} // namespace

void note_changes(std::span<const std::byte> buffer, std::string_view table, NftChanges& changes) {
    while (buffer.size() >= sizeof(nlmsghdr)) {
        // SAFETY: the buffer is aligned for nlmsghdr, and each length is checked against what is
        // left before the next step.
        const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
        if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > buffer.size()) {
            return;
        }
        if (!is_about(*message, table)) {
            changes.others = true;
            changes.chains = changes.chains || adds_chain(message->nlmsg_type);
        } else if (removes(message->nlmsg_type)) {
            changes.removed = true;
        }
        const std::size_t step = NLMSG_ALIGN(std::size_t{message->nlmsg_len});
        buffer = buffer.subspan(std::min(step, buffer.size()));
    }
}

Result<NftMonitor> NftMonitor::open(std::uint32_t own_port_id) {
    UniqueFd socket(
        ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
    if (!socket) {
        return errno_error("open a netlink socket");
    }
    TRY(ignore_changes_of(socket, own_port_id));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    // SAFETY: the sockets interface takes every address type through sockaddr.
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return errno_error("bind a netlink socket");
    }
    const int group = NFNLGRP_NFTABLES;
    if (::setsockopt(socket.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) !=
        0) {
        return errno_error("listen to nf_tables notifications");
    }
    return NftMonitor(std::move(socket));
}

Result<NftChanges> NftMonitor::read_changes(std::string_view table) {
    alignas(nlmsghdr) std::array<std::byte, receive_buffer_bytes> buffer{};
    NftChanges changes;
    while (true) {
        const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && errno == EAGAIN) {
            return changes;
        }
        if (size < 0 && errno != ENOBUFS) {
            return errno_error("read nf_tables notifications");
        }
        if (size < 0) {
            changes = {.removed = true, .others = true, .chains = true};
        } else {
            note_changes(std::span(buffer).first(static_cast<std::size_t>(size)), table, changes);
        }
    }
}

} // namespace berth::kernel
