// SPDX-License-Identifier: Apache-2.0
// The process itself, asked by openssl and over plain sockets.
#include "base/file.h"
#include "base/poll.h"
#include "front/front.h"
#include "http/server.h"
#include "http/websocket.h"
#include "kernel/process.h"
#include "kernel/socket.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::front {

namespace {

constexpr std::chrono::seconds patience{20};

// Built beside the test.
std::string front_program() {
    std::array<char, 4096> target{};
    const ssize_t size = readlink("/proc/self/exe", target.data(), target.size());
    const std::string path(target.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return path.substr(0, path.rfind('/')) + "/berth-front";
}

// What comes until `end` does.
std::string receive_until(const UniqueFd& fd, std::string_view end) {
    std::string text;
    std::array<char, 4096> buffer;
    pollfd readable{.fd = fd.get(), .events = POLLIN, .revents = 0};
    while (text.find(end) == std::string::npos) {
        if (poll(&readable, 1, 20'000) != 1) {
            return text + " (too late)";
        }
        const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        if (count <= 0) {
            return text + " (the end)";
        }
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return text;
}

bool is_alive(pid_t pid) {
    return ::kill(pid, 0) == 0;
}

class FrontTest : public testing::Test {
  protected:
    std::string file(const std::string& name) const { return directory_.path() + "/" + name; }

    std::string run(const std::string& command) {
        const std::string words = "exec >" + file("output") + " 2>&1 </dev/null; " + command;
        auto child = kernel::spawn({.arguments = {"bash", "-c", words}});
        EXPECT_TRUE(std::move(child).value().wait().ok());
        return read_file(file("output")).value();
    }

    void make_certificate() {
        const std::string said =
            run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
                "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
                file("server.key") + " -out " + file("server.pem"));
        ASSERT_TRUE(exists(file("server.pem"))) << said;
    }

    // Says who asks.
    void serve() {
        make_certificate();
        auto context = Front::serve_tls(
            front_,
            {.certificate_file = file("server.pem"),
             .key_file = file("server.key"),
             .client_ca_file = file("server.pem")});
        ASSERT_TRUE(context.ok()) << context.error().message();
        http::ServerOptions options;
        options.handler =
            [](std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& writer) {
                ASSERT_NE(request.peer.tls, nullptr);
                const std::string text =
                    request.peer.tls->common_name + " at " + request.peer.address;
                EXPECT_TRUE(writer.respond(200, {}, text).ok());
            };
        options.worker_threads = 4;
        options.relays = front_;
        server_ = http::Server::create(std::move(options)).value();
        port_ = server_->listen_tcp("127.0.0.1:0", *context).value();
        ASSERT_TRUE(server_->start().ok());
    }

    std::string ask() {
        return run(
            "curl -sS --max-time 20 --cacert " + file("server.pem") + " --cert " +
            file("server.pem") + " --key " + file("server.key") +
            " https://localhost:" + std::to_string(port_) + "/");
    }

    TemporaryDirectory directory_ = std::move(TemporaryDirectory::create("/tmp")).value();
    std::unique_ptr<io::EventLoopThread> thread_ = io::EventLoopThread::start().value();
    std::shared_ptr<Front> front_ = std::make_shared<Front>(thread_->loop(), front_program());
    std::unique_ptr<http::Server> server_;
    std::uint16_t port_ = 0;
};

TEST_F(FrontTest, TellsTheServerWhoAsksAndFromWhere) {
    serve();
    const std::string said = ask();
    EXPECT_TRUE(said.starts_with("localhost at 127.0.0.1:")) << said;
    const std::string refused =
        run("curl -sS --max-time 20 --cacert " + file("server.pem") +
            " https://localhost:" + std::to_string(port_) + "/");
    EXPECT_NE(refused.find("certificate required"), std::string::npos) << refused;
}

TEST_F(FrontTest, StartsAgainWhenTheProcessWasKilled) {
    serve();
    const pid_t first = front_->pid();
    ASSERT_GT(first, 0);
    ASSERT_EQ(::kill(first, SIGKILL), 0);
    EXPECT_TRUE(
        poll_until([&] { return !is_alive(first); }, std::chrono::milliseconds(5), patience))
        << "it was not reaped";
    EXPECT_TRUE(ask().starts_with("localhost at"));
    EXPECT_NE(front_->pid(), first);
}

TEST_F(FrontTest, CarriesAWebsocketForAsLongAsItLasts) {
    auto pair = kernel::socket_pair(SOCK_STREAM).value();
    http::RelayedConnection connection;
    connection.fd = std::move(pair.second);
    connection.websocket.emplace(http::Websocket::Kind::Text);
    connection.received = std::string("\x81\x83\0\0\0\0one", 9); // a masked frame
    connection.to_send = "head\r\n\r\n";
    UniqueFd far_end = std::move(front_->start(std::move(connection))).value();
    EXPECT_EQ(receive_until(pair.first, "\r\n\r\n"), "head\r\n\r\n");
    EXPECT_EQ(receive_until(far_end, "one"), "one");
    const pid_t pid = front_->pid();
    // As if this were an engine that ends; a real one is reaped by another.
    front_.reset();
    ASSERT_EQ(::send(far_end.get(), "two", 3, MSG_NOSIGNAL), 3);
    EXPECT_EQ(receive_until(pair.first, "two"), "\x81\x03two");
    EXPECT_TRUE(is_alive(pid));
    far_end.reset();
    EXPECT_EQ(receive_until(pair.first, "\xe8"), "\x88\x02\x03\xe8"); // close, 1000
    pair.first.reset();
    EXPECT_TRUE(poll_until([&] { return !is_alive(pid); }, std::chrono::milliseconds(5), patience));
}

TEST_F(FrontTest, SaysWhichFileIsWrongAndWhichProgramIsMissing) {
    auto wrong =
        Front::serve_tls(front_, {.certificate_file = "/absent/a", .key_file = "/absent/b"});
    ASSERT_FALSE(wrong.ok());
    EXPECT_NE(wrong.error().message().find("/absent/a"), std::string::npos);
    make_certificate();
    auto absent = Front::serve_tls(
        std::make_shared<Front>(thread_->loop(), "/absent/berth-front"),
        {.certificate_file = file("server.pem"), .key_file = file("server.key")});
    ASSERT_FALSE(absent.ok());
    EXPECT_NE(absent.error().message().find("/absent/berth-front"), std::string::npos);
}

} // namespace

} // namespace berth::front
