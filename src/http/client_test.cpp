// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "http/client.h"
#include "http/client_connection.h"
#include "http/listener.h"
#include "http/test_server.h"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::http {

namespace {

void echo_target(std::stop_token, Request& request, Body& body, ResponseWriter& response) {
    auto bytes = body.read_all();
    ASSERT_TRUE(bytes.ok()) << bytes.error().message();
    std::string text = request.method + " " + request.target + " " + *bytes;
    EXPECT_TRUE(response.respond(200, {{"X-Name", "value"}}, text).ok());
}

} // namespace

TEST(Endpoint, ParsesWhatDockerHostMayHold) {
    EXPECT_EQ(Endpoint::parse("unix:///run/x.sock")->path, "/run/x.sock");
    EXPECT_EQ(Endpoint::parse("tcp://[::1]:5000")->host, "::1");
    EXPECT_EQ(Endpoint::parse("tcp://host")->port, 2375);
    EXPECT_EQ(Endpoint::parse("http://host/")->port, 80);
    EXPECT_EQ(Endpoint::parse("tcp://[::1]:5000")->to_string(), "tcp://[::1]:5000");
    EXPECT_FALSE(Endpoint::parse("host:1").ok());
    EXPECT_FALSE(Endpoint::parse("tcp://host:99999").ok());
    EXPECT_FALSE(Endpoint::parse("tcp://host/path").ok());
    EXPECT_EQ(Endpoint::parse("ssh://host").error().kind(), ErrorKind::NotImplemented);
}

TEST(Client, ReusesItsConnection) {
    TestServer server(echo_target);
    Client client = server.client();
    for (int i = 0; i < 3; ++i) {
        auto response = client.post_json("/x?a=b", "{}");
        ASSERT_TRUE(response.ok()) << response.error().message();
        EXPECT_EQ(response->status, 200U);
        EXPECT_EQ(response->headers.get("x-name"), "value");
        EXPECT_EQ(*response->read_body(), "POST /x?a=b {}");
    }
    EXPECT_EQ(server.server().connection_count(), 1U);
}

TEST(Client, StreamsBodiesBothWays) {
    TestServer server([](std::stop_token, Request&, Body& body, ResponseWriter& out) {
        body.set_limit(Body::unlimited);
        ASSERT_TRUE(out.begin(200, {}).ok());
        std::vector<char> buffer(50'000);
        while (true) {
            auto count = body.read(buffer);
            ASSERT_TRUE(count.ok());
            if (*count == 0) {
                break;
            }
            ASSERT_TRUE(out.write(std::string_view(buffer.data(), *count)).ok());
        }
        ASSERT_TRUE(out.finish().ok());
    });
    Client client = server.client();
    std::string content;
    for (int i = 0; i < 20'000; ++i) {
        content += std::to_string(i) + ",";
    }
    for (auto length :
         {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(content.size())}) {
        StringSource source(content);
        auto response =
            client.request({.method = "POST", .body_source = &source, .body_length = length});
        ASSERT_TRUE(response.ok()) << response.error().message();
        EXPECT_EQ(*response->read_body(), content);
    }
}

TEST(Client, RunsRequestsInParallel) {
    TestServer server(echo_target);
    Client client = server.client();
    std::atomic<int> good = 0;
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < 8; ++thread) {
            threads.emplace_back([&] {
                for (int i = 0; i < 50; ++i) {
                    auto response = client.get("/ping");
                    good += response.ok() && *response->read_body() == "GET /ping " ? 1 : 0;
                }
            });
        }
    }
    EXPECT_EQ(good, 400);
}

// One that sends something again and again is not done either.
TEST(Client, GivesUpWhenAnAnswerTakesTooLong) {
    TestServer server(
        [](const std::stop_token& stop, Request& request, Body&, ResponseWriter& out) {
            if (request.target == "/slow") {
                ASSERT_TRUE(out.begin(200, {}).ok());
            }
            std::mutex mutex;
            std::unique_lock lock(mutex);
            std::condition_variable_any never;
            while (!stop.stop_requested()) {
                never.wait_for(lock, stop, std::chrono::milliseconds(20), [] { return false; });
                if (out.begun() && !out.write(".").ok()) {
                    return;
                }
            }
        });
    Client client = server.client();
    for (const char* target : {"/silent", "/slow"}) {
        auto response =
            client.request({.target = target, .answer_time = std::chrono::milliseconds(200)});
        const auto text =
            response.ok() ? response->read_body() : Result<std::string>(response.error());
        ASSERT_FALSE(text.ok()) << target;
        EXPECT_NE(text.error().message().find("took too long"), std::string::npos)
            << text.error().message();
    }
}

std::string congestion_control(FdRef fd) {
    std::array<char, 32> name{};
    socklen_t size = name.size();
    EXPECT_EQ(getsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, name.data(), &size), 0);
    return name.data();
}

TEST(Client, ConnectionsWithinTheMachineAreNotPaced) {
    // Its last character is a new line.
    std::string usual = read_file("/proc/sys/net/ipv4/tcp_congestion_control").value();
    usual.pop_back();
    for (const std::string host : {"127.0.0.1", "127.0.0.2"}) {
        Listener listener = Listener::open_tcp(host + ":0").value();
        const std::string address = host + ":" + std::to_string(listener.port());
        UniqueFd fd =
            open_connection(*Endpoint::parse("tcp://" + address), Milliseconds(5000)).value();
        // From 127.0.0.1 to 127.0.0.2: like another machine.
        EXPECT_EQ(congestion_control(fd), host == "127.0.0.1" ? "reno" : usual);
        pollfd readable{.fd = listener.fd().get(), .events = POLLIN, .revents = 0};
        ASSERT_EQ(poll(&readable, 1, 5000), 1);
        UniqueFd served(accept4(listener.fd().get(), nullptr, nullptr, SOCK_CLOEXEC));
        EXPECT_EQ(congestion_control(served), "reno"); // from the beginning
        prepare_tcp(served, listener.congestion_control());
        EXPECT_EQ(congestion_control(served), congestion_control(fd));
    }
}

TEST(Client, SaysWhyItCannotConnect) {
    auto missing = Client::connect(*Endpoint::parse("unix:///nonexistent/x.sock"));
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().kind(), ErrorKind::Unavailable);
    EXPECT_EQ(missing.error().error_number(), ENOENT);
    std::string path;
    {
        TestServer server(echo_target);
        path = server.path() + "2";
        ASSERT_TRUE(server.server().listen_unix(path, 0600).ok());
    }
    EXPECT_FALSE(exists(path));
}

TEST(Client, GoesOnAfterTheServerClosedAnIdleConnection) {
    Limits limits;
    limits.idle_time = std::chrono::milliseconds(40);
    TestServer server(echo_target, limits);
    Client client = server.client();
    ASSERT_TRUE(client.get("/")->read_body().ok());
    while (server.server().connection_count() > 0) {
        std::this_thread::yield();
    }
    EXPECT_EQ(*client.post_json("/again", "x")->read_body(), "POST /again x");
}

TEST(Client, UpgradesAndReadsWhatFollows) {
    TestServer server([](std::stop_token, Request& request, Body& body, ResponseWriter& out) {
        ASSERT_TRUE(body.read_all().ok());
        if (request.path == "/no") {
            ASSERT_TRUE(out.respond(409, {}, "not running").ok());
            return;
        }
        Hijacked taken = std::move(out.hijack()).value();
        std::string head = upgrade_response(request, raw_stream_type) + "first";
        ASSERT_TRUE(send_bytes(taken.fd, head, Milliseconds(1000)).ok());
    });
    Client client = server.client();
    auto upgraded = client.upgrade({.method = "POST", .target = "/yes", .body = "{}"});
    ASSERT_TRUE(upgraded.ok()) << upgraded.error().message();
    EXPECT_EQ(upgraded->response.status, 101U);
    ASSERT_TRUE(upgraded->connection);
    std::string rest = upgraded->leftover + receive_text(upgraded->connection);
    EXPECT_EQ(rest, "first");
    auto refused = client.upgrade({.method = "POST", .target = "/no"});
    ASSERT_TRUE(refused.ok());
    EXPECT_FALSE(refused->connection);
    EXPECT_EQ(refused->response.status, 409U);
    EXPECT_EQ(*refused->response.read_body(), "not running");
}

TEST(Client, SeesTheAnswerThatCameBeforeItsBodyWasSent) {
    TestServer server([](std::stop_token, Request&, Body&, ResponseWriter& out) {
        ASSERT_TRUE(out.respond(403, {}, "no").ok());
    });
    Client client = server.client();
    StringSource source(std::string(8U << 20, 'x'));
    auto response = client.request({.method = "POST", .body_source = &source});
    ASSERT_TRUE(response.ok()) << response.error().message();
    EXPECT_EQ(response->status, 403U);
}

TEST(Client, RefusesTargetsThatWouldSplitTheRequest) {
    TestServer server(echo_target);
    EXPECT_FALSE(server.client().get("/a b").ok());
    EXPECT_FALSE(server.client().get("/a\r\nX: y").ok());
    EXPECT_FALSE(server.client().request({.headers = {{"X", "a\r\nb"}}}).ok());
}

} // namespace berth::http
