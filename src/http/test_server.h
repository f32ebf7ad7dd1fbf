// SPDX-License-Identifier: Apache-2.0
// A server on a Unix socket in a directory of its own, and a raw connection to it: for this
// library's tests.
#pragma once

#include "base/file.h"
#include "http/client.h"
#include "http/client_connection.h"
#include "http/server.h"
#include "http/socket_io.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sys/socket.h>

namespace berth::http {

class TestServer {
  public:
    explicit TestServer(Handler handler, Limits limits = {}) {
        ServerOptions options;
        options.handler = std::move(handler);
        options.limits = limits;
        options.worker_threads = 4;
        start(std::move(options));
    }

    explicit TestServer(ServerOptions options) { start(std::move(options)); }

    Server& server() { return *server_; }

    std::string path() const { return directory_->path() + "/http.sock"; }

    Client client() const {
        Endpoint endpoint;
        endpoint.path = path();
        return Client(endpoint);
    }

    UniqueFd connect() const {
        Endpoint endpoint;
        endpoint.path = path();
        return std::move(open_connection(endpoint, Milliseconds(1000))).value();
    }

  private:
    void start(ServerOptions options) {
        directory_.emplace(std::move(TemporaryDirectory::create("/tmp")).value());
        server_ = std::move(Server::create(std::move(options))).value();
        EXPECT_TRUE(server_->listen_unix(path(), 0600).ok());
        EXPECT_TRUE(server_->start().ok());
    }

    std::optional<TemporaryDirectory> directory_;
    std::unique_ptr<Server> server_;
};

inline void send_text(const UniqueFd& fd, std::string_view text) {
    ASSERT_TRUE(send_bytes(fd, text, Milliseconds(2000)).ok());
}

// All until the server hangs up, or until `end` was received.
inline std::string receive_text(const UniqueFd& fd, std::string_view end = {}) {
    std::string text;
    char buffer[4096];
    while (end.empty() || text.find(end) == std::string::npos) {
        auto count = receive_some(fd, buffer, Milliseconds(5000));
        if (!count.ok() || *count == 0) {
            break;
        }
        text.append(buffer, *count);
    }
    return text;
}

} // namespace berth::http
