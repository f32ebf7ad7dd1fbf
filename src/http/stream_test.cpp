// SPDX-License-Identifier: Apache-2.0
#include "http/stream.h"
#include "http/test_server.h"

#include <future>
#include <mutex>
#include <thread>

namespace berth::http {

namespace {

// A server whose only handler turns every request into a stream and hands it to the test.
class StreamServer {
  public:
    explicit StreamServer(StreamOptions options = {})
        : server_([this, options](std::stop_token, Request&, Body&, ResponseWriter& out) {
            auto stream = out.into_stream(200, {{"Content-Type", "text/plain"}}, options);
            streams_.set_value(std::move(stream).value());
        }) {}

    TestServer& server() { return server_; }

    std::shared_ptr<Stream> next() {
        auto stream = streams_.get_future().get();
        streams_ = {};
        return stream;
    }

  private:
    std::promise<std::shared_ptr<Stream>> streams_;
    TestServer server_;
};

constexpr std::string_view simple_request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

} // namespace

TEST(Stream, SendsMessagesFromAnyThreadAndThenServesTheNextRequest) {
    StreamServer server;
    UniqueFd fd = server.server().connect();
    for (int round = 0; round < 2; ++round) {
        send_text(fd, simple_request);
        std::shared_ptr<Stream> stream = server.next();
        EXPECT_EQ(stream->send("one\n"), Stream::Outcome::Sent);
        EXPECT_EQ(stream->send(""), Stream::Outcome::Sent);
        EXPECT_EQ(stream->send("two\n"), Stream::Outcome::Sent);
        std::promise<void> ended;
        stream->on_close([&] { ended.set_value(); });
        stream->finish();
        ended.get_future().wait();
        EXPECT_EQ(stream->send("late"), Stream::Outcome::Closed);
        std::string answer = receive_text(fd, "0\r\n\r\n");
        EXPECT_TRUE(answer.ends_with("4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n")) << answer;
    }
}

TEST(Stream, HearsThatTheClientHungUp) {
    StreamServer server;
    UniqueFd fd = server.server().connect();
    send_text(fd, simple_request);
    std::shared_ptr<Stream> stream = server.next();
    std::promise<void> closed;
    stream->on_close([&] { closed.set_value(); });
    fd.reset();
    EXPECT_EQ(closed.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
    EXPECT_TRUE(stream->closed());
    while (server.server().server().connection_count() > 0) {
        std::this_thread::yield(); // the callback comes just before
    }
}

TEST(Stream, DisconnectsASlowReader) {
    StreamServer server({.buffer_limit = 10'000, .slow_reader = SlowReader::Disconnect});
    UniqueFd fd = server.server().connect();
    send_text(fd, simple_request);
    std::shared_ptr<Stream> stream = server.next();
    std::promise<void> closed;
    stream->on_close([&] { closed.set_value(); });
    int sent = 0;
    while (stream->send(std::string(4000, 'x')) == Stream::Outcome::Sent) {
        ASSERT_LT(++sent, 10'000);
    }
    EXPECT_EQ(closed.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
}

TEST(Stream, DropsTheOldestMessagesOfASlowReader) {
    StreamServer server({.buffer_limit = 10'000, .slow_reader = SlowReader::DropOldest});
    UniqueFd fd = server.server().connect();
    send_text(fd, simple_request);
    std::shared_ptr<Stream> stream = server.next();
    for (int i = 0; i < 1000; ++i) {
        ASSERT_EQ(stream->send(std::string(999, 'x') + "\n"), Stream::Outcome::Sent);
    }
    ASSERT_EQ(stream->send("the last\n"), Stream::Outcome::Sent);
    stream->finish();
    std::string answer = receive_text(fd, "\r\n0\r\n\r\n");
    EXPECT_LT(answer.size(), 1'000'000U);
    EXPECT_TRUE(answer.ends_with("\r\n9\r\nthe last\n\r\n0\r\n\r\n"));
    // Dropping keeps the framing: every chunk is whole.
    std::string_view left = std::string_view(answer).substr(answer.find("\r\n\r\n") + 4);
    while (!left.starts_with("9\r\n")) {
        ASSERT_TRUE(left.starts_with("3e8\r\nxxx"));
        left.remove_prefix(5 + 1000 + 2);
    }
}

TEST(Stream, HoldsTheSenderBackUntilTheReaderIsReady) {
    StreamServer server({.buffer_limit = 10'000, .slow_reader = SlowReader::BackPressure});
    UniqueFd fd = server.server().connect();
    send_text(fd, simple_request);
    std::shared_ptr<Stream> stream = server.next();
    std::promise<void> writable;
    std::once_flag once;
    stream->on_writable([&] { std::call_once(once, [&] { writable.set_value(); }); });
    std::size_t sent = 0;
    while (stream->send(std::string(1000, 'x')) == Stream::Outcome::Sent) {
        ASSERT_LT(++sent, 100'000U);
    }
    EXPECT_EQ(stream->send(std::string(1000, 'y')), Stream::Outcome::Full);
    std::string answer;
    auto ready = writable.get_future();
    char buffer[65536];
    while (ready.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        auto count = receive_some(fd, buffer, Milliseconds(100));
        if (count.ok()) {
            answer.append(buffer, *count);
        }
    }
    EXPECT_EQ(stream->send("more"), Stream::Outcome::Sent);
    stream->finish();
    answer += receive_text(fd, "0\r\n\r\n");
    answer.erase(0, answer.find("\r\n\r\n"));
    EXPECT_EQ(static_cast<std::size_t>(std::count(answer.begin(), answer.end(), 'x')), sent * 1000);
}

TEST(Stream, EndsWhenTheServerStops) {
    StreamServer server;
    UniqueFd fd = server.server().connect();
    send_text(fd, simple_request);
    std::shared_ptr<Stream> stream = server.next();
    std::promise<void> closed;
    stream->on_close([&] { closed.set_value(); });
    server.server().server().stop();
    closed.get_future().wait();
    EXPECT_EQ(stream->send("x"), Stream::Outcome::Closed);
}

} // namespace berth::http
