// SPDX-License-Identifier: Apache-2.0
// Real traffic for the tests of networks: echo servers and clients in given network namespaces.
#pragma once

#include "base/unique_fd.h"
#include "network/network_driver.h"

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace berth::network {

inline const UniqueFd here; // the test's own namespace plays the host

// A namespace joined to the test's own by a veth pair: the world outside. Its address is
// 10.99.0.2, the test's is 10.99.0.1; the test's default route leads there.
UniqueFd make_outside_world();

// Answers each TCP connection and each datagram with the address that it came from, on all
// addresses of the namespace. -1 of UniqueFd: the test's own namespace.
class EchoServer {
  public:
    EchoServer(const UniqueFd& netns, Protocol protocol, std::uint16_t port);
    ~EchoServer();
    EchoServer(const EchoServer&) = delete;
    EchoServer& operator=(const EchoServer&) = delete;

  private:
    void serve();

    Protocol protocol_;
    UniqueFd socket_;
    Pipe stop_;
    std::thread thread_;
};

// A client that keeps its socket, and so its connection in the kernel's eyes. ask() answers as
// below.
class DatagramClient {
  public:
    DatagramClient(const UniqueFd& netns, const std::string& address, std::uint16_t port);
    std::string ask();
    void send(); // and hears no answer

  private:
    UniqueFd socket_;
};

// What the server answers: the address it saw. "refused", "timeout" or "unreachable" when there is
// no answer.
std::string
ask(const UniqueFd& netns, Protocol protocol, const std::string& address, std::uint16_t port);

// The same for what must not get through: it does not wait as long.
std::string ask_in_vain(
    const UniqueFd& netns, Protocol protocol, const std::string& address, std::uint16_t port);

// What the tests of networks begin with; a failure is the test's.
std::unique_ptr<NetworkDriver> start_driver(NetworkDriver::Options options = {});
BridgeOptions bridge_options(const std::string& name, const std::string& subnet);
std::shared_ptr<BridgeNetwork> create(NetworkDriver& driver, const BridgeOptions& options);
std::shared_ptr<BridgeNetwork> create_default(NetworkDriver& driver); // test0, 172.17.0.0/16
Endpoint connect(Network& network, EndpointRequest request);
Endpoint connect(Network& network, const std::string& id);
Endpoint connect(Network& network, const std::string& id, std::vector<PortRequest> ports);
PortRequest tcp(std::uint16_t host, std::uint16_t container, const std::string& ip = "0.0.0.0");

// Whether an echo request is answered within a second.
bool reaches(const Endpoint& from, const std::string& address);

// A command's output within the endpoint's namespace.
std::string inside(const Endpoint& endpoint, const std::vector<std::string>& command);

// Programs at interfaces note things for each processor. For this process and those that it starts.
void stay_on_one_processor();

// Of an interface of the host, "RX" or "TX" as it counts them.
int packets_at(const std::string& interface, const std::string& direction);

// Packets that the bridge has handed to the endpoint: the short way does not come by there.
int over_the_bridge(const Endpoint& endpoint);

// What an engine that starts is told of them.
NetworkRecord record_of(const BridgeNetwork& network, const std::vector<Endpoint>& endpoints);

} // namespace berth::network
