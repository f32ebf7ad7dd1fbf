// SPDX-License-Identifier: Apache-2.0
// The embedded DNS server: answers at 127.0.0.11:53 in the network namespace of every container
// that is attached, from one thread. It knows networks and containers by their ids and nothing of
// the engine.
//
//   auto server = TRY(DnsServer::start({}));
//   server->names().add(network_id, {.id = endpoint_id, .name = "web", .addresses = {…}});
//   TRY(server->attach(container_id, netns, {.networks = {{.id = network_id, .name = "back"}}}));
//
// Thread-safe.
#pragma once

#include "network/dns_client.h"
#include "network/dns_forwarder.h"
#include "network/dns_names.h"

#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

namespace berth::network {

class DnsServer {
  public:
    using Options = DnsForwarder::Options;

    static Result<std::unique_ptr<DnsServer>> start(Options options);

    // The containers' redirections stay; a new server's attach() replaces them.
    ~DnsServer();
    DnsServer(const DnsServer&) = delete;
    DnsServer& operator=(const DnsServer&) = delete;

    // From now on the container's questions are answered. One that is attached is attached anew.
    Result<void> attach(const std::string& container, FdRef netns, DnsView view);

    // False when the container is not attached. Holds for its next question.
    bool update(const std::string& container, DnsView view);

    // Its sockets are closed soon: they would keep the namespace alive.
    void detach(const std::string& container);

    DnsNames& names() { return names_; }

  private:
    DnsServer(std::unique_ptr<SocketLoop> loop, Options options)
        : loop_(std::move(loop))
        , forwarder_(*loop_, std::move(options)) {}

    using Clients = std::unordered_map<std::string, std::shared_ptr<DnsClient>>;

    DnsNames names_;
    std::unique_ptr<SocketLoop> loop_;
    DnsForwarder forwarder_; // the thread's
    Synchronized<Clients> clients_;
    std::thread thread_;
};

} // namespace berth::network
