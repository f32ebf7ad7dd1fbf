// SPDX-License-Identifier: Apache-2.0
// The multicast group of rtnetlink for interfaces, behind a filter.
#include "kernel/netlink_link_watch.h"

#include "kernel/netlink_message.h"
#include "kernel/netlink_socket.h"

#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <sys/socket.h>

namespace berth::kernel {
namespace {

constexpr std::uint32_t first_attribute = NLMSG_HDRLEN + sizeof(ifinfomsg);
constexpr std::uint32_t attribute_in = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_NLATTR);
constexpr std::uint32_t attribute_within =
    static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_NLATTR_NEST);
constexpr std::uint32_t start_of_bridge = 0x62726964; // "brid", in network order

Result<void> filter_with(const UniqueFd& socket, std::span<sock_filter> program) {
    const sock_fprog filter{
        .len = static_cast<unsigned short>(program.size()), .filter = program.data()};
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) {
        return errno_error("filter the news of interfaces");
    }
    return ok();
}

// An interface is news as a message of its own. A bridge's port that leaves is told of as removed,
// too, with another family.
Result<void> hear_of_removals_alone(const UniqueFd& socket) {
    sock_filter program[] = {
        // Loads are in network order.
        {BPF_LD | BPF_H | BPF_ABS, 0, 0, offsetof(nlmsghdr, nlmsg_type)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 13, htons(RTM_DELLINK)},
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, NLMSG_HDRLEN + offsetof(ifinfomsg, ifi_family)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 11, AF_UNSPEC},
        {BPF_LD | BPF_W | BPF_IMM, 0, 0, first_attribute},
        {BPF_LDX | BPF_W | BPF_IMM, 0, 0, IFLA_IFALIAS},
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, attribute_in}, // where it is; 0: nowhere
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 8, 0},
        {BPF_LD | BPF_W | BPF_IMM, 0, 0, first_attribute},
        {BPF_LDX | BPF_W | BPF_IMM, 0, 0, IFLA_LINKINFO},
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, attribute_in},
        {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 0},
        {BPF_LDX | BPF_W | BPF_IMM, 0, 0, IFLA_INFO_KIND},
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, attribute_within},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0},
        {BPF_RET | BPF_K, 0, 0, 0},
        {BPF_RET | BPF_K, 0, 0, UINT32_MAX},
        {BPF_MISC | BPF_TAX, 0, 0, 0},
        {BPF_LD | BPF_W | BPF_IND, 0, 0, sizeof(nlattr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, start_of_bridge},
        {BPF_RET | BPF_K, 0, 0, UINT32_MAX},
        {BPF_RET | BPF_K, 0, 0, 0},
    };
    return filter_with(socket, program);
}

} // namespace

void note_links(std::span<const std::byte> buffer, LinkNews& news) {
    while (buffer.size() >= sizeof(nlmsghdr)) {
        // SAFETY: the buffer is aligned for nlmsghdr, and each length is checked against what is
        // left before the next step.
        const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
        if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > buffer.size()) {
            return;
        }
        if (message->nlmsg_type == RTM_DELLINK &&
            message->nlmsg_len >= NLMSG_LENGTH(sizeof(ifinfomsg))) {
            ifinfomsg link{};
            std::memcpy(&link, buffer.data() + NLMSG_HDRLEN, sizeof link);
            if (link.ifi_family == AF_UNSPEC) {
                news.removed.insert(link.ifi_index);
            }
        }
        const std::size_t step = NLMSG_ALIGN(std::size_t{message->nlmsg_len});
        buffer = buffer.subspan(std::min(step, buffer.size()));
    }
}

Result<LinkWatch> LinkWatch::open() {
    UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    if (!socket) {
        return errno_error("open a netlink socket");
    }
    TRY(hear_of_removals_alone(socket));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    // SAFETY: the sockets interface takes every address type through sockaddr.
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return errno_error("listen to news of interfaces");
    }
    return LinkWatch(std::move(socket));
}

Result<void> LinkWatch::set_scope(Scope scope) {
    if (scope == Scope::Removals) {
        return hear_of_removals_alone(socket_);
    }
    sock_filter everything[] = {{BPF_RET | BPF_K, 0, 0, UINT32_MAX}};
    return filter_with(socket_, everything);
}

Result<LinkNews> LinkWatch::read_news() {
    alignas(nlmsghdr) std::array<std::byte, receive_buffer_bytes> buffer{};
    LinkNews news;
    while (true) {
        const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && errno == EAGAIN) {
            return news;
        }
        if (size < 0 && errno != ENOBUFS) {
            return errno_error("read news of interfaces");
        }
        if (size < 0) {
            news.incomplete = true;
        } else {
            note_links(std::span(buffer).first(static_cast<std::size_t>(size)), news);
        }
    }
}

} // namespace berth::kernel
