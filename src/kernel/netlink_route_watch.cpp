// SPDX-License-Identifier: Apache-2.0
// The multicast groups of rtnetlink.
#include "kernel/netlink_route_watch.h"

#include "kernel/netlink_message.h"
#include "kernel/netlink_socket.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/socket.h>

namespace berth::kernel {
namespace {

int output_index_of(const nlmsghdr& message) {
    for (const nlattr* attribute : attributes_of(message, sizeof(rtmsg))) {
        if (mnl_attr_get_type(attribute) == RTA_OIF &&
            mnl_attr_get_payload_len(attribute) == sizeof(std::uint32_t)) {
            return static_cast<int>(mnl_attr_get_u32(attribute));
        }
    }
    return 0;
}

bool is_about_others(const nlmsghdr& message, const std::set<int>& except) {
    const bool is_route = message.nlmsg_type == RTM_NEWROUTE || message.nlmsg_type == RTM_DELROUTE;
    return is_route && !except.contains(output_index_of(message));
}

} // namespace

void RouteWatch::Closer::operator()(mnl_socket* socket) const {
    mnl_socket_close(socket);
}

Result<RouteWatch> RouteWatch::open() {
    std::unique_ptr<mnl_socket, Closer> socket(
        mnl_socket_open2(route_protocol, SOCK_CLOEXEC | SOCK_NONBLOCK));
    constexpr unsigned groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
    if (!socket || mnl_socket_bind(socket.get(), groups, MNL_SOCKET_AUTOPID) < 0) {
        return errno_error("watch the host's routes");
    }
    return RouteWatch(std::move(socket));
}

bool RouteWatch::changed(const std::set<int>& except) {
    bool is_changed = false;
    alignas(nlmsghdr) std::array<char, 32768> buffer;
    while (true) {
        const ssize_t size =
            ::recv(mnl_socket_get_fd(socket_.get()), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size < 0 && errno == ENOBUFS) {
            is_changed = true;
            continue;
        }
        if (size <= 0) {
            return is_changed;
        }
        auto left = static_cast<int>(size);
        // SAFETY: the kernel writes whole, aligned messages; mnl_nlmsg_ok() holds each to the rest.
        auto* message = reinterpret_cast<nlmsghdr*>(buffer.data());
        while (mnl_nlmsg_ok(message, left)) {
            is_changed = is_changed || is_about_others(*message, except);
            message = mnl_nlmsg_next(message, &left);
        }
    }
}

} // namespace berth::kernel
