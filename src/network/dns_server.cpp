// SPDX-License-Identifier: Apache-2.0
// Sockets are opened by the caller's thread and given to the server's.
#include "network/dns_server.h"

#include "base/log.h"
#include "kernel/process.h"

#include <pthread.h>

namespace berth::network {

Result<std::unique_ptr<DnsServer>> DnsServer::start(Options options) {
    std::unique_ptr<SocketLoop> loop = TRY(SocketLoop::create());
    std::unique_ptr<DnsServer> server(new DnsServer(std::move(loop), std::move(options)));
    server->thread_ = std::thread([running = server->loop_.get()] {
        static_cast<void>(::pthread_setname_np(::pthread_self(), "dns"));
        running->run();
    });
    return server;
}

DnsServer::~DnsServer() {
    loop_->stop();
    thread_.join();
    auto clients = clients_.lock();
    for (const auto& [container, client] : *clients) {
        client->close();
    }
}

Result<void> DnsServer::attach(const std::string& container, FdRef netns, DnsView view) {
    UniqueFd kept = TRY_CONTEXT(kernel::duplicate_apart(netns), "keep a network namespace");
    DnsListeners listeners = TRY(open_dns_listeners(netns));
    listeners.udp = kernel::keep_apart(std::move(listeners.udp));
    listeners.tcp = kernel::keep_apart(std::move(listeners.tcp));
    const auto client = DnsClient::create(
        {.loop = *loop_,
         .forwarder = forwarder_,
         .names = names_,
         .listeners = std::move(listeners),
         .netns = std::move(kept),
         .view = std::move(view)});
    detach(container);
    (*clients_.lock())[container] = client;
    loop_->post([client] {
        const Result<void> opened = client->open();
        if (!opened.ok()) {
            log::warn(
                "a container's DNS is not served, ignoring", {{"error", opened.error().message()}});
        }
    });
    return ok();
}

bool DnsServer::update(const std::string& container, DnsView view) {
    auto clients = clients_.lock();
    const auto found = clients->find(container);
    if (found == clients->end()) {
        return false;
    }
    found->second->set_view(std::move(view));
    return true;
}

void DnsServer::detach(const std::string& container) {
    std::shared_ptr<DnsClient> client;
    {
        auto clients = clients_.lock();
        const auto found = clients->find(container);
        if (found == clients->end()) {
            return;
        }
        client = std::move(found->second);
        clients->erase(found);
    }
    loop_->post([client] { client->close(); });
}

} // namespace berth::network
