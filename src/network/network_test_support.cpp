// SPDX-License-Identifier: Apache-2.0
// Echo servers and clients in network namespaces.
#include "network/network_test_support.h"

#include "base/strings.h"
#include "kernel/netlink_namespace.h"
#include "kernel/netlink_route.h"
#include "kernel/netlink_test_support.h"
#include "network/socket_test_support.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <span>
#include <sstream>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::network {
namespace {

using kernel::IpAddress;
using kernel::NetworkNamespaceScope;

constexpr int patience_milliseconds = 5000;
constexpr int vain_milliseconds = 400;

int type_of(Protocol protocol) {
    return protocol == Protocol::Tcp ? SOCK_STREAM : SOCK_DGRAM;
}

// A socket stays in the namespace that it was opened in.
UniqueFd open_socket(const UniqueFd& netns, int family, Protocol protocol, int flags) {
    std::optional<NetworkNamespaceScope> scope;
    if (netns) {
        Result<NetworkNamespaceScope> entered = NetworkNamespaceScope::enter(netns);
        EXPECT_TRUE(entered.ok());
        scope.emplace(std::move(entered).value());
    }
    return UniqueFd(::socket(family, type_of(protocol) | SOCK_CLOEXEC | flags, 0));
}

std::string text_of(const SocketAddress& address) {
    return address.ip().to_string();
}

std::string failure_text(int error_number) {
    if (error_number == ECONNREFUSED) {
        return "refused";
    }
    return error_number == EAGAIN || error_number == ETIMEDOUT ? "timeout" : "unreachable";
}

bool wait_for(const UniqueFd& socket, short events, int milliseconds) {
    pollfd entry{.fd = socket.get(), .events = events, .revents = 0};
    return ::poll(&entry, 1, milliseconds) > 0;
}

std::string ask_within(
    const UniqueFd& netns,
    Protocol protocol,
    const std::string& address,
    std::uint16_t port,
    int milliseconds) {
    const IpAddress ip = *IpAddress::parse(address);
    const UniqueFd socket = open_socket(netns, family_of(ip), protocol, SOCK_NONBLOCK);
    SocketAddress target = socket_address(ip, port);
    if (::connect(socket.get(), target.generic(), target.size) != 0 && errno != EINPROGRESS) {
        return failure_text(errno);
    }
    if (!wait_for(socket, POLLOUT, milliseconds)) {
        return "timeout";
    }
    // An ICMP error that came while connect() still held the socket wakes poll(), but send() knows
    // nothing of it: only SO_ERROR does.
    int error = 0;
    socklen_t size_of_error = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size_of_error);
    if (error != 0) {
        return failure_text(error);
    }
    if (::send(socket.get(), "?", 1, MSG_NOSIGNAL) < 0) {
        return failure_text(errno);
    }
    if (!wait_for(socket, POLLIN, milliseconds)) {
        return "timeout";
    }
    std::array<char, 64> answer{};
    const ssize_t size = ::recv(socket.get(), answer.data(), answer.size(), 0);
    return size < 0 ? failure_text(errno)
                    : std::string(answer.data(), static_cast<std::size_t>(size));
}

} // namespace

UniqueFd make_outside_world() {
    kernel::RouteSocket own = kernel::RouteSocket::open().value();
    NetworkNamespaceScope scope = NetworkNamespaceScope::enter_new().value();
    kernel::RouteSocket there = kernel::RouteSocket::open().value();
    UniqueFd netns = scope.take();
    kernel::RouteBatch pair;
    pair.add_veth(
        {.name = "wan0", .peer_name = "wan1", .peer_netns = netns, .mtu = 1500, .peer_mac = {}});
    EXPECT_TRUE(own.execute(pair).ok());
    kernel::RouteBatch inside;
    const int far = there.find_link("wan1").value()->index;
    inside.change_link(far, {.state = kernel::LinkState::Up});
    inside.add_address(far, *kernel::IpPrefix::parse("10.99.0.2/24"));
    EXPECT_TRUE(there.execute(inside).ok());
    kernel::RouteBatch outside;
    const int near = own.find_link("wan0").value()->index;
    outside.change_link(near, {.state = kernel::LinkState::Up});
    outside.add_address(near, *kernel::IpPrefix::parse("10.99.0.1/24"));
    outside.add_route({.destination = {}, .gateway = *IpAddress::parse("10.99.0.2")});
    EXPECT_TRUE(own.execute(outside).ok());
    // The kernel takes a moment to notice; packets sent before are lost.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (
        !(own.find_link(near).value()->operational && there.find_link(far).value()->operational) &&
        std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return netns;
}

EchoServer::EchoServer(const UniqueFd& netns, Protocol protocol, std::uint16_t port)
    : protocol_(protocol)
    , socket_(open_socket(netns, AF_INET6, protocol, 0))
    , stop_(Pipe::create().value()) {
    const int on = 1;
    const int off = 0;
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    SocketAddress address = socket_address(*IpAddress::parse("::"), port);
    EXPECT_EQ(::bind(socket_.get(), address.generic(), address.size), 0);
    if (protocol == Protocol::Tcp) {
        EXPECT_EQ(::listen(socket_.get(), 16), 0);
    }
    thread_ = std::thread([this] { serve(); });
}

EchoServer::~EchoServer() {
    stop_.write_end.reset();
    thread_.join();
}

void EchoServer::serve() {
    while (true) {
        std::array<pollfd, 2> entries{
            pollfd{.fd = socket_.get(), .events = POLLIN, .revents = 0},
            pollfd{.fd = stop_.read_end.get(), .events = POLLIN, .revents = 0}};
        ::poll(entries.data(), entries.size(), -1);
        if (entries[1].revents != 0) {
            return;
        }
        SocketAddress from;
        std::array<char, 16> question{};
        if (protocol_ == Protocol::Udp) {
            ::recvfrom(
                socket_.get(), question.data(), question.size(), 0, from.generic(), &from.size);
            const std::string answer = text_of(from);
            ::sendto(socket_.get(), answer.data(), answer.size(), 0, from.generic(), from.size);
            continue;
        }
        const UniqueFd connection(
            ::accept4(socket_.get(), from.generic(), &from.size, SOCK_CLOEXEC));
        if (wait_for(connection, POLLIN, patience_milliseconds)) {
            const std::string answer = text_of(from);
            ::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
        }
    }
}

DatagramClient::DatagramClient(
    const UniqueFd& netns, const std::string& address, std::uint16_t port)
    : socket_(
          open_socket(netns, family_of(*IpAddress::parse(address)), Protocol::Udp, SOCK_NONBLOCK)) {
    SocketAddress target = socket_address(*IpAddress::parse(address), port);
    EXPECT_EQ(::connect(socket_.get(), target.generic(), target.size), 0);
}

void DatagramClient::send() {
    EXPECT_EQ(::send(socket_.get(), "?", 1, MSG_NOSIGNAL), 1);
}

std::string DatagramClient::ask() {
    if (::send(socket_.get(), "?", 1, MSG_NOSIGNAL) < 0) {
        return failure_text(errno);
    }
    if (!wait_for(socket_, POLLIN, vain_milliseconds)) {
        return "timeout";
    }
    std::array<char, 64> answer{};
    const ssize_t size = ::recv(socket_.get(), answer.data(), answer.size(), 0);
    return size < 0 ? failure_text(errno)
                    : std::string(answer.data(), static_cast<std::size_t>(size));
}

std::string
ask(const UniqueFd& netns, Protocol protocol, const std::string& address, std::uint16_t port) {
    return ask_within(netns, protocol, address, port, patience_milliseconds);
}

std::string ask_in_vain(
    const UniqueFd& netns, Protocol protocol, const std::string& address, std::uint16_t port) {
    return ask_within(netns, protocol, address, port, vain_milliseconds);
}

std::unique_ptr<NetworkDriver> start_driver(NetworkDriver::Options options) {
    if (options.cni.directory.empty()) {
        options.cni.directory = "/tmp/berth-network-test-cni"; // made by the tests of CNI alone
    }
    Result<std::unique_ptr<NetworkDriver>> driver = NetworkDriver::start(options);
    EXPECT_TRUE(driver.ok()) << (driver.ok() ? "" : driver.error().message());
    return std::move(driver).value();
}

BridgeOptions bridge_options(const std::string& name, const std::string& subnet) {
    BridgeOptions options;
    options.name = name;
    options.subnet = *IpPrefix::parse(subnet);
    return options;
}

std::shared_ptr<BridgeNetwork> create(NetworkDriver& driver, const BridgeOptions& options) {
    Result<std::shared_ptr<BridgeNetwork>> network = driver.create(options);
    EXPECT_TRUE(network.ok()) << (network.ok() ? "" : network.error().message());
    return std::move(network).value();
}

std::shared_ptr<BridgeNetwork> create_default(NetworkDriver& driver) {
    return create(driver, bridge_options("test0", "172.17.0.0/16"));
}

Endpoint connect(Network& network, EndpointRequest request) {
    if (request.container_name.empty()) {
        request.container_name = "container-" + request.id;
    }
    Result<Endpoint> endpoint = network.connect(request);
    EXPECT_TRUE(endpoint.ok()) << (endpoint.ok() ? "" : endpoint.error().message());
    return std::move(endpoint).value();
}

Endpoint connect(Network& network, const std::string& id) {
    return connect(network, EndpointRequest{.id = id, .container_name = {}, .ports = {}});
}

Endpoint connect(Network& network, const std::string& id, std::vector<PortRequest> ports) {
    return connect(
        network, EndpointRequest{.id = id, .container_name = {}, .ports = std::move(ports)});
}

PortRequest tcp(std::uint16_t host, std::uint16_t container, const std::string& ip) {
    return {
        .protocol = Protocol::Tcp,
        .container_port = container,
        .host_ip = *IpAddress::parse(ip),
        .host_port = host};
}

bool reaches(const Endpoint& from, const std::string& address) {
    const std::string script = "busybox ping -c 1 -W 2 " + address + " || true";
    return inside(from, {"sh", "-c", script}).find(" 0% packet loss") != std::string::npos;
}

std::string inside(const Endpoint& endpoint, const std::vector<std::string>& command) {
    // Not close-on-exec: nsenter opens it by number.
    const int shared = ::fcntl(endpoint.netns.get(), F_DUPFD, 0);
    std::vector<std::string> all{"nsenter", "--net=/proc/self/fd/" + std::to_string(shared)};
    all.insert(all.end(), command.begin(), command.end());
    std::string output = kernel::output_of(all);
    ::close(shared);
    return output;
}

void stay_on_one_processor() {
    cpu_set_t processors;
    ASSERT_EQ(::sched_getaffinity(0, sizeof processors, &processors), 0);
    int first = 0;
    while (!CPU_ISSET(first, &processors)) {
        ++first;
    }
    CPU_ZERO(&processors);
    CPU_SET(first, &processors);
    ASSERT_EQ(::sched_setaffinity(0, sizeof processors, &processors), 0);
}

int packets_at(const std::string& interface, const std::string& direction) {
    const std::string shown = kernel::output_of({"ip", "-s", "link", "show", interface});
    std::istringstream numbers(shown.substr(shown.find(direction + ":")));
    std::string heading;
    std::getline(numbers, heading);
    long bytes = 0;
    int packets = 0;
    numbers >> bytes >> packets;
    return packets;
}

int over_the_bridge(const Endpoint& endpoint) {
    return packets_at(endpoint.host_interface, "TX");
}

NetworkRecord record_of(const BridgeNetwork& network, const std::vector<Endpoint>& endpoints) {
    NetworkRecord record{.options = network.options(), .endpoints = {}};
    for (const Endpoint& endpoint : endpoints) {
        record.endpoints.push_back(
            {.id = endpoint.id,
             .container_name = endpoint.id,
             .ip = endpoint.ip,
             .mac = endpoint.mac,
             .host_interface = endpoint.host_interface,
             .ports = endpoint.ports});
    }
    return record;
}

} // namespace berth::network
