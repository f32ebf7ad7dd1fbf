// SPDX-License-Identifier: Apache-2.0
// Datagrams there and back. What there is no room for is lost, as datagrams are.
#include "network/port_relay_datagrams.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/epoll.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

constexpr int datagrams_at_once = 64; // then others have their turn
constexpr std::size_t longest_datagram = 65536;

// Room for the one control message that there is, aligned as the kernel wants it.
struct alignas(cmsghdr) PacketInfoBuffer {
    std::array<std::byte, CMSG_SPACE(sizeof(in6_pktinfo))> bytes{};
};

bool is_link_local(const in6_addr& address) {
    return IN6_IS_ADDR_LINKLOCAL(&address);
}

} // namespace

std::shared_ptr<RelayDatagrams>
RelayDatagrams::create(RelayParts& parts, UniqueFd socket, const RelayTarget& target) {
    return std::shared_ptr<RelayDatagrams>(new RelayDatagrams(parts, std::move(socket), target));
}

Result<void> RelayDatagrams::open() {
    const int on = 1;
    if (::setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) != 0) {
        return errno_error("ask for datagrams' destinations");
    }
    TRY(let_clients_in(socket_));
    TRY(parts_.loop.add(socket_, EPOLLIN, shared_from_this()));
    parts_.datagram.resize(longest_datagram);
    is_open_ = true;
    return ok();
}

void RelayDatagrams::close() {
    if (is_open_) {
        parts_.loop.remove(socket_);
    }
    is_open_ = false;
    if (timer_) {
        parts_.loop.cancel(*timer_);
    }
    for (const auto& [parties, client] : std::map(clients_)) {
        answer(*client); // what has arrived
        forget(client);
    }
    socket_.reset();
}

std::optional<std::size_t> RelayDatagrams::receive(sockaddr_in6& from, in6_pktinfo& to) {
    PacketInfoBuffer control;
    iovec data{.iov_base = parts_.datagram.data(), .iov_len = parts_.datagram.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    const ssize_t size = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
    if (size < 0) {
        return std::nullopt;
    }
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_level == IPPROTO_IPV6 &&
        header->cmsg_type == IPV6_PKTINFO) {
        std::memcpy(&to, CMSG_DATA(header), sizeof to);
    }
    return static_cast<std::size_t>(size);
}

void RelayDatagrams::on_ready(std::uint32_t /*events*/) {
    for (int i = 0; i < datagrams_at_once; ++i) {
        sockaddr_in6 from{};
        in6_pktinfo to{};
        const std::optional<std::size_t> size = receive(from, to);
        if (!size) {
            return;
        }
        Client* client = find(from, to);
        if (client == nullptr) {
            continue;
        }
        touch(*client, false);
        const auto send = [&] {
            return ::send(
                client->socket.get(), parts_.datagram.data(), *size, MSG_DONTWAIT | MSG_NOSIGNAL);
        };
        if (send() < 0 && errno == ECONNREFUSED) {
            send(); // what was refused is an earlier one
        }
    }
}

RelayDatagrams::Client* RelayDatagrams::find(const sockaddr_in6& from, const in6_pktinfo& to) {
    Parties parties{.scope = from.sin6_scope_id, .port = from.sin6_port};
    std::memcpy(parties.client.data(), &from.sin6_addr, parties.client.size());
    std::memcpy(parties.own.data(), &to.ipi6_addr, parties.own.size());
    const auto found = clients_.find(parties);
    if (found != clients_.end()) {
        return found->second.get();
    }
    if (!make_room()) {
        return nullptr;
    }
    Result<std::shared_ptr<Client>> admitted = admit(from, to);
    if (!admitted.ok()) {
        parts_.datagram_clients.give_back();
        return nullptr;
    }
    Client& client = **admitted;
    client.parties = parties;
    client.place = unanswered_.insert(unanswered_.end(), *admitted);
    clients_.emplace(parties, std::move(admitted).value());
    return &client;
}

Result<std::shared_ptr<RelayDatagrams::Client>>
RelayDatagrams::admit(const sockaddr_in6& from, const in6_pktinfo& to) {
    auto client = std::make_shared<Client>(*this);
    client->address = from;
    // An answer cannot come from a group's address, and of all other addresses routing knows best
    // which interface leads back.
    if (!IN6_IS_ADDR_MULTICAST(&to.ipi6_addr)) {
        client->own.ipi6_addr = to.ipi6_addr;
    }
    if (is_link_local(to.ipi6_addr)) {
        client->own.ipi6_ifindex = to.ipi6_ifindex;
    }
    client->socket = TRY(open_relay_socket(target_.family(), SOCK_DGRAM));
    if (::connect(client->socket.get(), target_.address(), target_.size()) != 0) {
        return errno_error("connect");
    }
    TRY(parts_.loop.add(client->socket, EPOLLIN, client));
    return client;
}

bool RelayDatagrams::make_room() {
    if (parts_.datagram_clients.take(clients_.size())) {
        return true;
    }
    const Clients& oldest = unanswered_.empty() ? answered_ : unanswered_;
    if (oldest.empty()) {
        return false;
    }
    forget(std::shared_ptr(oldest.front()));
    return parts_.datagram_clients.take(clients_.size());
}

void RelayDatagrams::answer(Client& client) {
    for (int i = 0; i < datagrams_at_once; ++i) {
        iovec data{.iov_base = parts_.datagram.data(), .iov_len = parts_.datagram.size()};
        const ssize_t size = ::recv(client.socket.get(), data.iov_base, data.iov_len, MSG_DONTWAIT);
        if (size < 0 && errno == ECONNREFUSED) {
            continue; // nobody listens there at the moment
        }
        if (size < 0) {
            return;
        }
        touch(client, true);
        PacketInfoBuffer control;
        data.iov_len = static_cast<std::size_t>(size);
        msghdr message{};
        message.msg_name = &client.address;
        message.msg_namelen = sizeof client.address;
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control.bytes.data();
        message.msg_controllen = control.bytes.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = IPPROTO_IPV6;
        header->cmsg_type = IPV6_PKTINFO;
        header->cmsg_len = CMSG_LEN(sizeof client.own);
        std::memcpy(CMSG_DATA(header), &client.own, sizeof client.own);
        ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

void RelayDatagrams::touch(Client& client, bool is_answer) {
    client.heard = SocketLoop::Clock::now();
    Clients& before = list_of(client);
    client.was_answered = client.was_answered || is_answer;
    Clients& after = list_of(client);
    after.splice(after.end(), before, client.place);
    if (!timer_) {
        await_expiry();
    }
}

void RelayDatagrams::forget(const std::shared_ptr<Client>& client) {
    parts_.loop.remove(client->socket);
    list_of(*client).erase(client->place);
    clients_.erase(client->parties);
    parts_.datagram_clients.give_back();
}

void RelayDatagrams::await_expiry() {
    std::optional<SocketLoop::Clock::time_point> first;
    for (const Clients* list : {&unanswered_, &answered_}) {
        if (!list->empty()) {
            const auto heard = list->front()->heard;
            first = first ? std::min(*first, heard) : heard;
        }
    }
    timer_.reset();
    if (first) {
        const auto left = *first + parts_.limits.datagram_idle - SocketLoop::Clock::now();
        timer_ = parts_.loop.after(left, [this] { expire(); });
    }
}

void RelayDatagrams::expire() {
    const auto limit = SocketLoop::Clock::now() - parts_.limits.datagram_idle;
    for (const Clients* list : {&unanswered_, &answered_}) {
        while (!list->empty() && list->front()->heard <= limit) {
            forget(std::shared_ptr(list->front()));
        }
    }
    await_expiry();
}

} // namespace berth::network
