// SPDX-License-Identifier: Apache-2.0
// One request, one answer (or a dump) over a netlink socket; lengths of messages are checked before
// they are believed (CVE-2021-43784).
#include "kernel/network_device.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace berth::kernel {

namespace {

constexpr std::size_t buffer_bytes = 32768;

template <class T>
void append(std::string& bytes, const T& value) {
    std::array<char, sizeof value> raw;
    std::memcpy(raw.data(), &value, sizeof value);
    bytes.append(raw.data(), raw.size());
    bytes.resize(NLMSG_ALIGN(bytes.size()));
}

void append_attribute(std::string& bytes, unsigned short type, std::string_view payload) {
    append(bytes, rtattr{static_cast<unsigned short>(RTA_LENGTH(payload.size())), type});
    bytes += payload;
    bytes.resize(NLMSG_ALIGN(bytes.size()));
}

std::string request(unsigned short type, unsigned short flags, std::string_view body) {
    std::string message;
    append(
        message,
        nlmsghdr{
            static_cast<std::uint32_t>(NLMSG_LENGTH(body.size())),
            type,
            static_cast<unsigned short>(NLM_F_REQUEST | flags),
            1,
            0});
    message += body;
    return message;
}

// Calls `take` for each message of one datagram.
template <class Take>
Result<void> each_message(std::string_view datagram, Take take) {
    while (datagram.size() >= sizeof(nlmsghdr)) {
        nlmsghdr header{};
        std::memcpy(&header, datagram.data(), sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > datagram.size()) {
            return internal_error("netlink: a message of impossible length");
        }
        TRY(take(header, datagram.substr(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN)));
        datagram.remove_prefix(
            std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
    }
    return ok();
}

// Sends a request and reads messages until one ends the answer.
template <class Take>
Result<void>
ask_kernel(FdRef socket, const std::string& message, const std::string& what, Take take) {
    if (::send(socket.get(), message.data(), message.size(), 0) < 0) {
        return errno_error(what);
    }
    std::string buffer(buffer_bytes, '\0');
    bool ended = false;
    while (!ended) {
        ssize_t got = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_TRUNC);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0 || static_cast<std::size_t>(got) > buffer.size()) {
            return got < 0 ? errno_error(what) : internal_error(what + ": answer is too long");
        }
        auto read_one = [&](const nlmsghdr& header, std::string_view body) -> Result<void> {
            std::int32_t error = 0;
            if (header.nlmsg_type == NLMSG_ERROR && body.size() >= sizeof error) {
                std::memcpy(&error, body.data(), sizeof error);
                ended = true;
                return error == 0 ? ok() : Result<void>(Error::from_errno(what, -error));
            }
            ended = ended || header.nlmsg_type == NLMSG_DONE;
            return ended ? ok() : take(header, body);
        };
        TRY(each_message(std::string_view(buffer.data(), static_cast<std::size_t>(got)), read_one));
    }
    return ok();
}

Result<void> command(FdRef socket, const std::string& message, const std::string& what) {
    return ask_kernel(socket, message, what, [](const nlmsghdr&, std::string_view) -> Result<void> {
        return ok();
    });
}

std::string link_header(unsigned index, unsigned flags, unsigned change) {
    ifinfomsg link{};
    link.ifi_family = AF_UNSPEC;
    link.ifi_index = static_cast<int>(index);
    link.ifi_flags = flags;
    link.ifi_change = change;
    std::string body;
    append(body, link);
    return body;
}

// An address as RTM_NEWADDR takes it, when it is worth keeping.
Result<std::optional<DeviceAddress>> address_of(unsigned index, std::string_view body) {
    ifaddrmsg header{};
    if (body.size() < sizeof header) {
        return internal_error("netlink: an address is too short");
    }
    std::memcpy(&header, body.data(), sizeof header);
    if (header.ifa_index != index || header.ifa_scope != RT_SCOPE_UNIVERSE ||
        (header.ifa_flags & IFA_F_PERMANENT) == 0) {
        return std::optional<DeviceAddress>();
    }
    std::string kept;
    append(kept, header);
    std::string_view rest =
        body.substr(std::min<std::size_t>(NLMSG_ALIGN(sizeof header), body.size()));
    while (rest.size() >= sizeof(rtattr)) {
        rtattr attribute{};
        std::memcpy(&attribute, rest.data(), sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > rest.size()) {
            return internal_error("netlink: an attribute of impossible length");
        }
        if (attribute.rta_type == IFA_LOCAL || attribute.rta_type == IFA_ADDRESS ||
            attribute.rta_type == IFA_BROADCAST) {
            append_attribute(
                kept,
                attribute.rta_type,
                rest.substr(RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0)));
        }
        rest.remove_prefix(std::min<std::size_t>(RTA_ALIGN(attribute.rta_len), rest.size()));
    }
    return std::optional(DeviceAddress{std::move(kept)});
}

} // namespace

bool is_network_device_name(std::string_view name) {
    return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
           name.find_first_of(std::string_view("/: \t\n\v\f\r\0", 9)) == std::string_view::npos;
}

Result<NetworkDevice> NetworkDevice::find(const std::string& name) {
    UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    UniqueFd control(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket || !control) {
        return errno_error("netlink socket");
    }
    ifreq wanted{};
    name.copy(wanted.ifr_name, IFNAMSIZ - 1);
    if (::ioctl(control.get(), SIOCGIFINDEX, &wanted) < 0) {
        return errno == ENODEV ? not_found("there is no network device " + name)
                               : errno_error("network device " + name);
    }
    const auto index = static_cast<unsigned>(wanted.ifr_ifindex);
    if (::ioctl(control.get(), SIOCGIFFLAGS, &wanted) < 0) {
        return errno_error("network device " + name);
    }
    return NetworkDevice(std::move(socket), index, (wanted.ifr_flags & IFF_UP) != 0);
}

Result<std::vector<DeviceAddress>> NetworkDevice::addresses() const {
    std::vector<DeviceAddress> found;
    std::string body;
    append(body, ifaddrmsg{});
    auto keep = [&](const nlmsghdr& header, std::string_view message) -> Result<void> {
        if (header.nlmsg_type != RTM_NEWADDR) {
            return ok();
        }
        if (auto address = TRY(address_of(index_, message))) {
            found.push_back(std::move(*address));
        }
        return ok();
    };
    TRY(ask_kernel(socket_, request(RTM_GETADDR, NLM_F_DUMP, body), "list addresses", keep));
    return found;
}

Result<void> NetworkDevice::move(FdRef target, const std::string& name) const {
    std::string body = link_header(index_, 0, 0);
    std::string number;
    append(number, static_cast<std::uint32_t>(target.get()));
    append_attribute(body, IFLA_NET_NS_FD, number);
    append_attribute(body, IFLA_IFNAME, std::string_view(name.c_str(), name.size() + 1));
    return command(socket_, request(RTM_NEWLINK, NLM_F_ACK, body), "move network device");
}

Result<void> NetworkDevice::add_address(const DeviceAddress& address) const {
    std::string body = address.message;
    ifaddrmsg header{};
    std::memcpy(&header, body.data(), sizeof header);
    header.ifa_index = index_;
    std::memcpy(body.data(), &header, sizeof header);
    return command(
        socket_,
        request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body),
        "add an address to a network device");
}

Result<void> NetworkDevice::set_up() const {
    return command(
        socket_,
        request(RTM_NEWLINK, NLM_F_ACK, link_header(index_, IFF_UP, IFF_UP)),
        "set a network device up");
}

} // namespace berth::kernel
