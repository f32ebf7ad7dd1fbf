// SPDX-License-Identifier: Apache-2.0
// Clients and servers of one question each.
#include "network/dns_test_support.h"

#include "base/free_with.h"
#include "base/strings.h"
#include "kernel/netlink_namespace.h"
#include "kernel/netlink_route.h"
#include "network/dns_sockets.h"

#include <gtest/gtest.h>
#include <ldns/ldns.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::network {
namespace {

using Packet = std::unique_ptr<ldns_pkt, FreeWith<ldns_pkt_free>>;
using Text = std::unique_ptr<char, FreeWith<std::free>>;

constexpr int patience_milliseconds = 5000;

Packet parse(const DnsBytes& bytes) {
    ldns_pkt* packet = nullptr;
    const ldns_status status = ldns_wire2pkt(&packet, bytes.data(), bytes.size());
    EXPECT_EQ(status, LDNS_STATUS_OK) << ldns_get_errorstr_by_id(status);
    return Packet(packet);
}

DnsBytes wire(const ldns_pkt& packet) {
    std::uint8_t* bytes = nullptr;
    std::size_t size = 0;
    EXPECT_EQ(ldns_pkt2wire(&bytes, &packet, &size), LDNS_STATUS_OK);
    const std::unique_ptr<std::uint8_t, FreeWith<std::free>> owner(bytes);
    return {bytes, bytes + size};
}

std::string record_text(const ldns_rr& record) {
    const Text text(ldns_rr2str(&record));
    std::vector<std::string> fields;
    for (const std::string_view field : words(text.get())) {
        fields.emplace_back(field);
    }
    fields.erase(fields.begin() + 1, fields.begin() + 3); // ttl and class
    return join(fields, " ");
}

bool wait_for(const UniqueFd& socket, std::chrono::milliseconds patience) {
    pollfd entry{.fd = socket.get(), .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, static_cast<int>(patience.count())) > 0;
}

UniqueFd socket_in(const UniqueFd& netns, int type, int family = AF_INET) {
    std::optional<kernel::NetworkNamespaceScope> scope;
    if (netns) {
        scope.emplace(kernel::NetworkNamespaceScope::enter(netns).value());
    }
    return UniqueFd(::socket(family, type | SOCK_CLOEXEC, 0));
}

std::uint16_t port_of(const SocketAddress& address) {
    return ntohs(reinterpret_cast<const sockaddr_in*>(address.get())->sin_port); // of both families
}

kernel::IpAddress address_of(const SocketAddress& address) {
    if (address.storage.ss_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(address.get());
        return kernel::IpAddress::from_v4(ntohl(v4->sin_addr.s_addr));
    }
    return kernel::IpAddress::from_bytes(
        reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr.s6_addr);
}

UniqueFd connect_in(const UniqueFd& netns, int type) {
    UniqueFd socket = socket_in(netns, type);
    const SocketAddress server =
        SocketAddress::of(kernel::IpAddress::from_v4(dns_server_address), dns_server_port);
    if (::connect(socket.get(), server.get(), server.size) != 0) {
        ADD_FAILURE() << "connect: " << errno;
    }
    return socket;
}

DnsBytes with_length(const DnsBytes& message) {
    DnsBytes framed{
        static_cast<std::uint8_t>(message.size() >> 8),
        static_cast<std::uint8_t>(message.size() & 0xff)};
    framed.insert(framed.end(), message.begin(), message.end());
    return framed;
}

std::optional<DnsBytes> receive_framed(const UniqueFd& socket) {
    DnsBytes received;
    while (received.size() < 2 ||
           received.size() < 2 + (std::size_t{received[0]} << 8 | received[1])) {
        std::array<std::uint8_t, 65536> buffer{};
        const bool is_there = wait_for(socket, std::chrono::milliseconds(patience_milliseconds));
        const ssize_t size = is_there ? ::recv(socket.get(), buffer.data(), buffer.size(), 0) : -1;
        if (size <= 0) {
            return std::nullopt;
        }
        received.insert(received.end(), buffer.begin(), buffer.begin() + size);
    }
    return DnsBytes(received.begin() + 2, received.end());
}

} // namespace

kernel::IpAddress ip(const std::string& text) {
    return kernel::IpAddress::parse(text).value();
}

DnsBytes question_bytes(const TestQuestion& question) {
    const ldns_rr_type type = ldns_get_rr_type_by_name(question.type.c_str());
    const Packet packet(ldns_pkt_query_new(
        ldns_dname_new_frm_str(question.name.c_str()), type, LDNS_RR_CLASS_IN, LDNS_RD));
    ldns_pkt_set_id(packet.get(), question.id);
    if (question.udp_size != 0) {
        ldns_pkt_set_edns_udp_size(packet.get(), question.udp_size);
    }
    return wire(*packet);
}

DnsQuery parsed_question(const TestQuestion& question) {
    return std::get<DnsQuery>(parse_dns_request(question_bytes(question)));
}

std::string answer_text(const DnsBytes& bytes) {
    const Packet packet = parse(bytes);
    if (!packet) {
        return "malformed";
    }
    EXPECT_TRUE(ldns_pkt_qr(packet.get()));
    const Text code(ldns_pkt_rcode2str(ldns_pkt_get_rcode(packet.get())));
    std::vector<std::string> records;
    for (const ldns_rr_list* list :
         {ldns_pkt_answer(packet.get()), ldns_pkt_additional(packet.get())}) {
        for (std::size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
            records.push_back(record_text(*ldns_rr_list_rr(list, i)));
        }
    }
    std::sort(records.begin(), records.end());
    std::string text = code.get();
    text += ldns_pkt_tc(packet.get()) ? " TC" : "";
    return records.empty() ? text : text + " " + join(records, "; ");
}

UniqueFd new_namespace() {
    kernel::NetworkNamespaceScope scope = kernel::NetworkNamespaceScope::enter_new().value();
    kernel::RouteSocket socket = kernel::RouteSocket::open().value();
    kernel::RouteBatch up;
    up.change_link(1, {.state = kernel::LinkState::Up});
    EXPECT_TRUE(socket.execute(up).ok());
    return scope.take();
}

std::string
ask_dns(const UniqueFd& netns, const TestQuestion& question, std::chrono::milliseconds patience) {
    const UniqueFd socket = connect_in(netns, SOCK_DGRAM);
    const DnsBytes bytes = question_bytes(question);
    ::send(socket.get(), bytes.data(), bytes.size(), 0);
    std::array<std::uint8_t, 65536> buffer{};
    const ssize_t size =
        wait_for(socket, patience) ? ::recv(socket.get(), buffer.data(), buffer.size(), 0) : -1;
    if (size < 0) {
        return "silence";
    }
    EXPECT_EQ(buffer[0] << 8 | buffer[1], question.id);
    return answer_text(DnsBytes(buffer.begin(), buffer.begin() + size));
}

std::string ask_dns_by_tcp(const UniqueFd& netns, const TestQuestion& question) {
    const UniqueFd socket = connect_in(netns, SOCK_STREAM);
    const DnsBytes bytes = with_length(question_bytes(question));
    ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    const std::optional<DnsBytes> answer = receive_framed(socket);
    return answer ? answer_text(*answer) : "silence";
}

TestDnsServer::TestDnsServer(
    const UniqueFd& netns, const std::string& address, std::uint16_t port, Answer answer)
    : answer_(std::move(answer))
    , stop_(Pipe::create().value()) {
    SocketAddress bound = SocketAddress::of(*Nameserver::parse(address), port).value();
    udp_ = socket_in(netns, SOCK_DGRAM, bound.storage.ss_family);
    tcp_ = socket_in(netns, SOCK_STREAM, bound.storage.ss_family);
    EXPECT_EQ(::bind(udp_.get(), bound.get(), bound.size), 0) << errno;
    ::getsockname(udp_.get(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.size);
    EXPECT_EQ(::bind(tcp_.get(), bound.get(), bound.size), 0) << errno;
    EXPECT_EQ(::listen(tcp_.get(), 16), 0);
    port_ = port_of(bound);
    thread_ = std::thread([this] { serve(); });
}

TestDnsServer::~TestDnsServer() {
    stop_.write_end.reset();
    thread_.join();
}

void TestDnsServer::serve() {
    while (true) {
        std::array<pollfd, 3> entries{
            pollfd{.fd = stop_.read_end.get(), .events = POLLIN, .revents = 0},
            pollfd{.fd = udp_.get(), .events = POLLIN, .revents = 0},
            pollfd{.fd = tcp_.get(), .events = POLLIN, .revents = 0}};
        ::poll(entries.data(), entries.size(), -1);
        if (entries[0].revents != 0) {
            return;
        }
        if (entries[1].revents != 0) {
            serve_datagram();
        }
        if (entries[2].revents != 0) {
            serve_connection();
        }
    }
}

void TestDnsServer::serve_datagram() {
    std::array<std::uint8_t, 4096> buffer{};
    SocketAddress client{.size = sizeof client.storage};
    const ssize_t size = ::recvfrom(
        udp_.get(),
        buffer.data(),
        buffer.size(),
        0,
        reinterpret_cast<sockaddr*>(&client.storage),
        &client.size);
    if (size <= 0) {
        return;
    }
    ++asked_;
    Asked asked{.bytes = DnsBytes(buffer.begin(), buffer.begin() + size)};
    asked.name = std::get<DnsQuery>(parse_dns_request(asked.bytes)).question.name;
    asked.client_port = port_of(client);
    asked.client = address_of(client).to_string();
    for (const DnsBytes& bytes : answer_(asked)) {
        ::sendto(udp_.get(), bytes.data(), bytes.size(), 0, client.get(), client.size);
    }
}

void TestDnsServer::serve_connection() {
    const UniqueFd connection(::accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::optional<DnsBytes> question = receive_framed(connection);
    if (!question) {
        return;
    }
    ++asked_;
    Asked asked{.by_tcp = true, .bytes = *question};
    asked.name = std::get<DnsQuery>(parse_dns_request(asked.bytes)).question.name;
    for (const DnsBytes& bytes : answer_(asked)) {
        const DnsBytes framed = with_length(bytes);
        ::send(connection.get(), framed.data(), framed.size(), MSG_NOSIGNAL);
    }
}

DnsBytes
answer_with(const DnsBytes& question, const std::vector<std::string>& records, int code, bool cut) {
    const Packet packet = parse(question);
    ldns_pkt_set_qr(packet.get(), true);
    ldns_pkt_set_ra(packet.get(), true);
    ldns_pkt_set_tc(packet.get(), cut);
    ldns_pkt_set_rcode(packet.get(), static_cast<std::uint8_t>(code));
    for (const std::string& text : records) {
        ldns_rr* record = nullptr;
        EXPECT_EQ(ldns_rr_new_frm_str(&record, text.c_str(), 60, nullptr, nullptr), LDNS_STATUS_OK)
            << text;
        const bool is_authority = ldns_rr_get_type(record) == LDNS_RR_TYPE_SOA;
        ldns_pkt_push_rr(
            packet.get(), is_authority ? LDNS_SECTION_AUTHORITY : LDNS_SECTION_ANSWER, record);
    }
    return wire(*packet);
}

} // namespace berth::network
