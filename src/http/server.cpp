// SPDX-License-Identifier: Apache-2.0
// The public face of the loop.
#include "http/server.h"

#include "http/connection_loop.h"

namespace berth::http {

Server::Server(std::shared_ptr<Loop> loop)
    : loop_(std::move(loop)) {}

Server::~Server() {
    stop();
}

Result<std::unique_ptr<Server>> Server::create(ServerOptions options) {
    VERIFY(options.handler != nullptr);
    auto loop = TRY(Loop::create(std::move(options)));
    return std::unique_ptr<Server>(new Server(std::move(loop)));
}

Result<void> Server::listen_unix(const std::string& path, mode_t mode, std::optional<gid_t> group) {
    Listener listener = TRY(Listener::open_unix(path, mode, group));
    TRY(loop_->add_listener(std::move(listener)));
    return ok();
}

Result<std::uint16_t>
Server::listen_tcp(std::string_view address, std::shared_ptr<TlsContext> tls) {
    Listener listener = TRY(Listener::open_tcp(address));
    listener.use_tls(std::move(tls));
    return loop_->add_listener(std::move(listener));
}

Result<void> Server::adopt(UniqueFd listener, std::shared_ptr<TlsContext> tls) {
    Listener adopted = TRY(Listener::adopt(std::move(listener)));
    if (!adopted.is_unix()) {
        adopted.use_tls(std::move(tls));
    }
    TRY(loop_->add_listener(std::move(adopted)));
    return ok();
}

Result<void> Server::start() {
    return loop_->start();
}

void Server::stop(std::chrono::milliseconds grace) {
    loop_->stop(grace);
}

std::size_t Server::connection_count() const {
    return loop_->connection_count();
}

} // namespace berth::http
