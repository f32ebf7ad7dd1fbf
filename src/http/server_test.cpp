// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"
#include "http/test_server.h"

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::http {

namespace {

void echo(std::stop_token, Request& request, Body& body, ResponseWriter& response) {
    auto bytes = body.read_all();
    if (!bytes.ok()) {
        return;
    }
    std::string text = request.method + " " + request.path + " " + *bytes;
    EXPECT_TRUE(response.respond(200, {{"Content-Type", "text/plain"}}, text).ok());
}

constexpr std::string_view simple = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

} // namespace

TEST(Server, AnswersOnOneConnectionAgainAndAgain) {
    TestServer server(echo);
    UniqueFd fd = server.connect();
    for (int i = 0; i < 3; ++i) {
        send_text(fd, "POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz");
        std::string answer = receive_text(fd, "xyz");
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
        EXPECT_TRUE(answer.ends_with("\r\n\r\nPOST /a b xyz")) << answer;
        EXPECT_NE(answer.find("Content-Length: 13\r\n"), std::string::npos) << answer;
    }
    EXPECT_EQ(server.server().connection_count(), 1U);
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
    TestServer server(echo);
    UniqueFd fd = server.connect();
    send_text(
        fd,
        "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: t\r\n\r\nGET /3 HTTP/1.1\r\nHo");
    std::string answer = receive_text(fd, "abcde");
    send_text(fd, "st: x\r\nConnection: close\r\n\r\n");
    answer += receive_text(fd);
    std::size_t first = answer.find("GET /1 ");
    std::size_t second = answer.find("POST /2 abcde");
    std::size_t third = answer.find("GET /3 ");
    EXPECT_LT(first, second);
    EXPECT_LT(second, third);
    EXPECT_NE(third, std::string::npos) << answer;
    EXPECT_NE(answer.find("Connection: close"), std::string::npos);
}

TEST(Server, ReadsARequestThatComesByteByByte) {
    TestServer server(echo);
    UniqueFd fd = server.connect();
    std::string_view request =
        "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "5\r\nhello\r\n0\r\n\r\n";
    for (char c : request) {
        send_text(fd, std::string_view(&c, 1));
    }
    EXPECT_TRUE(receive_text(fd).ends_with("POST /x hello"));
}

TEST(Server, TellsTheClientToContinueOnlyWhenTheBodyIsRead) {
    TestServer server([](std::stop_token token, Request& request, Body& body, ResponseWriter& out) {
        if (request.path == "/refuse") {
            EXPECT_TRUE(out.respond(403, {}, "no").ok());
        } else {
            echo(token, request, body, out);
        }
    });
    std::string head = " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    UniqueFd fd = server.connect();
    send_text(fd, "PUT /take" + head);
    EXPECT_EQ(receive_text(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    send_text(fd, "ok");
    EXPECT_TRUE(receive_text(fd, "ok").ends_with("PUT /take ok"));
    send_text(fd, "PUT /refuse" + head);
    std::string refused = receive_text(fd);
    EXPECT_TRUE(refused.starts_with("HTTP/1.1 403 ")) << refused;
}

TEST(Server, SendsNoBodyForHead) {
    TestServer server(echo);
    UniqueFd fd = server.connect();
    send_text(fd, "HEAD /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    std::string answer = receive_text(fd);
    EXPECT_NE(answer.find("Content-Length: 8\r\n"), std::string::npos) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST(Server, RefusesWhatPassesItsLimits) {
    Limits limits;
    limits.head_bytes = 2048;
    limits.header_fields = 8;
    limits.body_bytes = 10;
    TestServer server(
        [](std::stop_token, Request&, Body& body, ResponseWriter& out) {
            auto bytes = body.read_all();
            if (bytes.ok()) {
                EXPECT_TRUE(out.respond(200, {}, "fine").ok());
            } else {
                EXPECT_EQ(bytes.error().kind(), ErrorKind::ResourceExhausted);
            }
        },
        limits);
    auto status = [&](const std::string& request) {
        UniqueFd fd = server.connect();
        send_text(fd, request);
        return receive_text(fd).substr(0, 12);
    };
    std::string start = "POST / HTTP/1.1\r\nHost: x\r\n";
    EXPECT_EQ(status(start + "A: " + std::string(4000, 'a') + "\r\n\r\n"), "HTTP/1.1 431");
    EXPECT_EQ(status(start + "A: " + std::string(4000, 'a')), "HTTP/1.1 431");
    std::string many = start;
    for (int i = 0; i < 9; ++i) {
        many += "A: b\r\n";
    }
    EXPECT_EQ(status(many + "\r\n"), "HTTP/1.1 431");
    EXPECT_EQ(status(start + "Content-Length: 11\r\n\r\n"), "HTTP/1.1 413");
    EXPECT_EQ(
        status(start + "Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"),
        "HTTP/1.1 413");
}

TEST(Server, RefusesMalformedRequests) {
    TestServer server(echo);
    for (std::string_view request :
         {"nonsense\r\n\r\n",
          "GET / HTTP/1.1\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
          "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
          "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
          "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: a\r\nBad Header: a\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"}) {
        UniqueFd fd = server.connect();
        send_text(fd, request);
        std::string answer = receive_text(fd);
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 501 "))
            << request << answer;
    }
}

TEST(Server, TellsATlsClientAtOnceThatThisIsPlainHttp) {
    TestServer server(echo);
    UniqueFd fd = server.connect();
    send_text(fd, std::string_view("\x16\x03\x01\x02\x00\x01", 6));
    EXPECT_TRUE(receive_text(fd).starts_with("HTTP/1.1 400 "));
}

TEST(Server, ClosesAConnectionWhoseHeadDoesNotArrive) {
    Limits limits;
    limits.head_time = std::chrono::milliseconds(60);
    TestServer server(echo, limits);
    UniqueFd fd = server.connect();
    send_text(fd, "GET / HT");
    EXPECT_TRUE(receive_text(fd).starts_with("HTTP/1.1 408 "));
}

TEST(Server, ClosesTheLongestIdleConnectionWhenAllAreTaken) {
    // One worker: it has given the first connection back before it takes the second.
    ServerOptions options;
    options.handler = echo;
    options.limits.connections = 2;
    options.worker_threads = 1;
    TestServer server(std::move(options));
    UniqueFd first = server.connect();
    send_text(first, simple);
    receive_text(first, "GET / ");
    UniqueFd second = server.connect();
    send_text(second, simple);
    receive_text(second, "GET / ");
    UniqueFd third = server.connect();
    send_text(third, simple);
    receive_text(third, "GET / ");
    EXPECT_EQ(receive_text(first), "");
    send_text(second, simple);
    EXPECT_NE(receive_text(second, "GET / ").find("200 OK"), std::string::npos);
}

TEST(Server, FiresTheStopTokenOfHandlersThatServeATakenConnectionWhenItStops) {
    std::promise<void> taken;
    std::promise<void> stopped;
    TestServer server([&](std::stop_token token, Request&, Body&, ResponseWriter& out) {
        const Hijacked connection = std::move(out.hijack()).value();
        std::promise<void> fired;
        std::stop_callback callback(token, [&] { fired.set_value(); });
        taken.set_value();
        fired.get_future().wait();
        stopped.set_value();
    });
    UniqueFd client = server.connect();
    send_text(client, simple);
    taken.get_future().wait();
    server.server().stop(std::chrono::seconds(1));
    EXPECT_EQ(stopped.get_future().wait_for(std::chrono::seconds(0)), std::future_status::ready);
}

TEST(Server, FiresTheStopTokenWhenTheClientHangsUp) {
    std::promise<void> started;
    std::promise<void> stopped;
    TestServer server([&](std::stop_token token, Request&, Body&, ResponseWriter&) {
        std::promise<void> fired;
        std::stop_callback callback(token, [&] { fired.set_value(); });
        started.set_value();
        fired.get_future().wait();
        stopped.set_value();
    });
    UniqueFd fd = server.connect();
    send_text(fd, simple);
    started.get_future().wait();
    fd.reset();
    EXPECT_EQ(stopped.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
}

TEST(Server, AnswersForAHandlerThatSaidNothing) {
    TestServer server([](std::stop_token, Request&, Body&, ResponseWriter&) {});
    UniqueFd fd = server.connect();
    send_text(fd, simple);
    EXPECT_TRUE(receive_text(fd).starts_with("HTTP/1.1 500 "));
}

TEST(Server, HangsUpInTheMiddleOfAnUnfinishedAnswer) {
    TestServer server([](std::stop_token, Request&, Body&, ResponseWriter& out) {
        EXPECT_TRUE(out.begin(200, {}).ok());
        EXPECT_TRUE(out.write("part").ok());
    });
    Client client = server.client();
    auto response = client.get("/");
    ASSERT_TRUE(response.ok());
    auto body = response->read_body();
    ASSERT_FALSE(body.ok());
    EXPECT_EQ(body.error().kind(), ErrorKind::DataLoss);
}

TEST(Server, GivesTheConnectionAwayWithWhatFollowed) {
    std::promise<Hijacked> taken;
    TestServer server([&](std::stop_token, Request& request, Body& body, ResponseWriter& out) {
        EXPECT_EQ(*body.read_all(), "{}");
        Hijacked connection = std::move(out.hijack()).value();
        EXPECT_TRUE(
            send_bytes(
                connection.fd, upgrade_response(request, raw_stream_type), Milliseconds(1000))
                .ok());
        taken.set_value(std::move(connection));
    });
    UniqueFd fd = server.connect();
    send_text(
        fd,
        "POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        "Content-Length: 2\r\n\r\n{}early");
    Hijacked connection = taken.get_future().get();
    EXPECT_EQ(connection.leftover, "early");
    EXPECT_EQ(server.server().connection_count(), 0U);
    EXPECT_EQ(
        receive_text(fd, "\r\n\r\n"),
        "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
    server.server().stop();
    send_text(connection.fd, "still here");
    EXPECT_EQ(receive_text(fd, "here"), "still here");
}

TEST(Server, SendsPartOfAFile) {
    auto directory = TemporaryDirectory::create("/tmp");
    std::string path = directory->path() + "/file";
    std::string content(3U << 20, 'x');
    content += "tail";
    ASSERT_TRUE(replace_file(path, content, 0600, Sync::No).ok());
    TestServer server([&](std::stop_token, Request&, Body&, ResponseWriter& out) {
        UniqueFd file = std::move(open_file(path, O_RDONLY)).value();
        EXPECT_TRUE(out.send_file(206, {}, file, 10, content.size() - 10).ok());
    });
    auto response = server.client().get("/");
    ASSERT_TRUE(response.ok());
    EXPECT_EQ(response->status, 206U);
    EXPECT_EQ(*response->read_body(), content.substr(10));
}

TEST(Server, SurvivesAClientThatHangsUpWhileAFileIsSent) {
    auto directory = TemporaryDirectory::create("/tmp");
    std::string path = directory->path() + "/file";
    std::promise<ErrorKind> outcome;
    TestServer server([&](std::stop_token, Request&, Body&, ResponseWriter& out) {
        UniqueFd file = std::move(open_file(path, O_RDWR | O_CREAT, 0600)).value();
        ASSERT_EQ(ftruncate(file.get(), 64 << 20), 0);
        auto sent = out.send_file(200, {}, file, 0, 64U << 20);
        outcome.set_value(sent.ok() ? ErrorKind::Internal : sent.error().kind());
    });
    UniqueFd fd = server.connect();
    send_text(fd, simple);
    receive_text(fd, "\r\n\r\n");
    fd.reset();
    EXPECT_EQ(outcome.get_future().get(), ErrorKind::Cancelled);
}

TEST(Server, ReplacesAStaleSocketButNotALivingOne) {
    auto directory = TemporaryDirectory::create("/tmp");
    std::string path = directory->path() + "/s";
    auto make = [&] {
        ServerOptions options;
        options.handler = echo;
        return std::move(Server::create(std::move(options))).value();
    };
    auto first = make();
    ASSERT_TRUE(first->listen_unix(path, 0660).ok());

    struct stat status {};

    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0660U);
    auto second = make();
    auto refused = second->listen_unix(path, 0660);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::Conflict);
    std::string saved = path + ".saved";
    ASSERT_EQ(link(path.c_str(), saved.c_str()), 0);
    first.reset();
    EXPECT_FALSE(exists(path));
    ASSERT_EQ(rename(saved.c_str(), path.c_str()), 0);
    EXPECT_TRUE(second->listen_unix(path, 0660).ok());
}

TEST(Server, KnowsWhoAsks) {
    TestServer server([](std::stop_token, Request& request, Body&, ResponseWriter& out) {
        ASSERT_TRUE(request.peer.credentials.has_value());
        EXPECT_EQ(request.peer.credentials->pid, getpid());
        EXPECT_EQ(request.peer.credentials->uid, getuid());
        EXPECT_TRUE(out.respond(204, {}).ok());
    });
    EXPECT_EQ(server.client().get("/")->status, 204U);
}

TEST(Server, ListensOnTcp) {
    TestServer server(echo);
    auto port = server.server().listen_tcp("127.0.0.1:0");
    ASSERT_TRUE(port.ok()) << port.error().message();
    Client client(*Endpoint::parse("tcp://127.0.0.1:" + std::to_string(*port)));
    auto response = client.post_json("/x", "{}");
    ASSERT_TRUE(response.ok());
    EXPECT_EQ(*response->read_body(), "POST /x {}");
}

TEST(Server, StopsWhileHandlersRun) {
    std::promise<void> started;
    auto server = std::make_unique<TestServer>(
        [&](std::stop_token token, Request&, Body& body, ResponseWriter&) {
            started.set_value();
            auto bytes = body.read_all();
            EXPECT_FALSE(bytes.ok());
            EXPECT_TRUE(token.stop_requested());
        });
    UniqueFd fd = server->connect();
    send_text(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
    started.get_future().wait();
    server->server().stop();
    EXPECT_EQ(server->server().connection_count(), 0U);
}

TEST(Server, AwaitsSmallBodiesWithoutAWorker) {
    ServerOptions options;
    options.worker_threads = 1;
    options.handler = [](std::stop_token, Request&, Body& body, ResponseWriter& out) {
        EXPECT_TRUE(out.respond(200, {}, "<" + body.read_all().value() + ">").ok());
    };
    TestServer server(std::move(options));
    std::vector<UniqueFd> slow;
    for (int i = 0; i < 20; ++i) {
        slow.push_back(server.connect());
        send_text(slow.back(), "POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 4\r\n\r\nab");
    }
    EXPECT_EQ(*server.client().post_json("/", "{}")->read_body(), "<{}>");
    for (const UniqueFd& fd : slow) {
        send_text(fd, "cd");
        EXPECT_TRUE(receive_text(fd, "<abcd>").ends_with("<abcd>"));
    }
}

TEST(Server, BoundsWhatItHoldsOfUnfinishedRequests) {
    ServerOptions options;
    options.limits.held_bytes = 200'000;
    options.handler = [](std::stop_token, Request&, Body&, ResponseWriter& out) {
        EXPECT_TRUE(out.respond(200, {}, "served").ok());
    };
    TestServer server(std::move(options));
    std::vector<UniqueFd> flood;
    std::string refused;
    for (int i = 0; i < 20 && refused.empty(); ++i) {
        flood.push_back(server.connect());
        send_text(flood.back(), "GET / HTTP/1.1\r\nX-Padding: " + std::string(50'000, 'x'));
        // One that is served tells that the loop has read the flood so far.
        EXPECT_EQ(*server.client().get("/")->read_body(), "served");
        char byte = 0;
        if (recv(flood.back().get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
            refused = receive_text(flood.back());
        }
    }
    EXPECT_TRUE(refused.starts_with("HTTP/1.1 503 ")) << flood.size();
    EXPECT_GE(flood.size(), 4U);
    flood.clear();
    flood.push_back(server.connect());
    send_text(flood.back(), "GET / HTTP/1.1\r\nHost: x\r\nX-Padding: " + std::string(50'000, 'x'));
    send_text(flood.back(), "\r\n\r\n");
    EXPECT_TRUE(receive_text(flood.back(), "served").ends_with("served"));
}

TEST(Server, TellsWhatItAnswered) {
    std::promise<std::string> told;
    ServerOptions options;
    options.answered = [&told](const Answered& answered) {
        told.set_value(std::string(answered.method) + " " + std::to_string(answered.status));
    };
    options.handler = [](std::stop_token, Request&, Body&, ResponseWriter& out) {
        EXPECT_TRUE(out.respond(404, {}, "no").ok());
    };
    TestServer server(std::move(options));
    EXPECT_EQ(server.client().get("/absent")->status, 404U);
    EXPECT_EQ(told.get_future().get(), "GET 404");
}

TEST(Server, RefusesMoreThanItCanQueue) {
    std::promise<void> release;
    std::shared_future<void> released = release.get_future().share();
    std::atomic<int> running = 0;
    ServerOptions options;
    options.worker_threads = 1;
    options.worker_queue = 1;
    options.handler = [&](std::stop_token, Request&, Body&, ResponseWriter& out) {
        ++running;
        released.wait();
        EXPECT_TRUE(out.respond(200, {}, "ok").ok());
    };
    TestServer server(std::move(options));
    UniqueFd first = server.connect();
    send_text(first, simple);
    while (running == 0) {
        std::this_thread::yield();
    }
    UniqueFd second = server.connect();
    send_text(second, simple);
    UniqueFd third = server.connect();
    send_text(third, simple);
    EXPECT_TRUE(receive_text(third).starts_with("HTTP/1.1 503 "));
    release.set_value();
    EXPECT_TRUE(receive_text(first, "ok").starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(receive_text(second, "ok").starts_with("HTTP/1.1 200 "));
}

} // namespace berth::http
