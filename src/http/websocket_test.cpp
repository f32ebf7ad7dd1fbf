// SPDX-License-Identifier: Apache-2.0
#include "http/test_server.h"
#include "http/websocket.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include <sys/socket.h>

namespace berth::http {

namespace {

// NOLINTNEXTLINE(misc-unused-using-decls): it does not look at literals
using std::string_literals::operator""s;

// A client's frame, masked with "mask".
std::string masked(int first, std::string_view payload) {
    std::string frame{static_cast<char>(first)};
    if (payload.size() < 126) {
        frame += static_cast<char>(0x80U | payload.size());
    } else {
        frame += '\xfe';
        frame += static_cast<char>(payload.size() >> 8U);
        frame += static_cast<char>(payload.size() & 0xffU);
    }
    frame += "mask";
    for (std::size_t i = 0; i < payload.size(); ++i) {
        frame += static_cast<char>(payload[i] ^ "mask"[i % 4]);
    }
    return frame;
}

constexpr std::string_view ask =
    "GET /attach HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

Request asked() {
    Request request;
    request.method = "GET";
    request.headers = {
        {"Connection", "Upgrade"},
        {"Upgrade", "websocket"},
        {"Sec-WebSocket-Version", "13"},
        {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
    return request;
}

// Echoes all that comes, in one piece when the client's end has come.
void echo_line(std::stop_token, Request&, Body&, ResponseWriter& response) {
    auto connection = response.hijack_websocket(Websocket::Kind::Binary);
    if (!connection.ok()) {
        EXPECT_TRUE(response.respond(400, {}, connection.error().message()).ok());
        return;
    }
    std::string text;
    char buffer[4096];
    ssize_t count = 0;
    while (text.find('\n') == std::string::npos &&
           (count = recv(connection->get(), buffer, sizeof(buffer), 0)) > 0) {
        text.append(buffer, static_cast<std::size_t>(count));
    }
    // A client that has closed takes nothing more.
    (void)send(connection->get(), text.data(), text.size(), MSG_NOSIGNAL);
}

} // namespace

TEST(Websocket, AcceptsTheKeyOfTheSpecification) {
    auto head = websocket_response(asked());
    ASSERT_TRUE(head.ok());
    EXPECT_EQ(
        *head,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
}

TEST(Websocket, RefusesOtherRequests) {
    for (const auto& [name, value] : Headers{
             {"Connection", "close"},
             {"Upgrade", "tcp"},
             {"Sec-WebSocket-Version", "8"},
             {"Sec-WebSocket-Key", "c2hvcnQ="}}) {
        Request request = asked();
        request.headers.set(name, value);
        auto head = websocket_response(request);
        ASSERT_FALSE(head.ok()) << name;
        EXPECT_EQ(head.error().kind(), ErrorKind::InvalidArgument);
    }
}

TEST(Websocket, ReadsFramesThatComeByteByByte) {
    Websocket socket(Websocket::Kind::Binary);
    const std::string long_text(300, 'x');
    const std::string frames = masked(0x82, "one ") + masked(0x01, "two ") + masked(0x89, "ping") +
                               masked(0x80, "three ") + masked(0x82, "") + masked(0x82, long_text) +
                               masked(0x88, "\x03\xe8"s);
    std::string data;
    std::string reply;
    for (const char byte : frames) {
        Websocket::Input input = socket.receive({&byte, 1});
        data += input.data;
        reply += input.reply;
    }
    EXPECT_EQ(data, "one two three " + long_text);
    EXPECT_EQ(reply, "\x8a\x04ping\x88\x02\x03\xe8"s);
    EXPECT_TRUE(socket.closed());
    EXPECT_EQ(socket.receive(masked(0x82, "late")).data, "");
}

TEST(Websocket, EndsWhereTheProtocolIsBroken) {
    for (const std::string& frames :
         {"\x82\x03"
          "abc"s,                                          // not masked
          masked(0xc2, "reserved bit"),                    //
          masked(0x83, "unknown code"),                    //
          masked(0x80, "continues nothing"),               //
          masked(0x02, "first") + masked(0x82, "another"), //
          masked(0x09, "half a ping"),                     //
          masked(0x89, std::string(200, 'p'))}) {
        Websocket socket(Websocket::Kind::Binary);
        EXPECT_TRUE(socket.receive(frames).reply.ends_with("\x88\x02\x03\xea"s)) << frames;
        EXPECT_TRUE(socket.closed());
    }
}

TEST(Websocket, SendsTheKindThatIsWanted) {
    EXPECT_EQ(Websocket(Websocket::Kind::Text).frame("a"), "\x81\x01\x61"s);
    EXPECT_EQ(Websocket(Websocket::Kind::Binary).frame("a"), "\x82\x01\x61"s);
    EXPECT_EQ(
        Websocket(Websocket::Kind::Binary).frame(std::string(300, 'a')).substr(0, 5),
        "\x82\x7e\x01\x2c\x61"s);
    EXPECT_EQ(
        Websocket(Websocket::Kind::Binary).frame(std::string(70000, 'a')).substr(0, 10),
        "\x82\x7f\0\0\0\0\0\x01\x11\x70"s);
}

TEST(Websocket, CarriesBothWaysAndCloses) {
    TestServer server(echo_line);
    UniqueFd fd = server.connect();
    send_text(fd, std::string(ask) + masked(0x82, "early "));
    EXPECT_NE(receive_text(fd, "\r\n\r\n").find(" 101 "), std::string::npos);
    send_text(fd, masked(0x89, "") + masked(0x82, "late\n"));
    const std::string answer = receive_text(fd, "\x03\xe8");
    EXPECT_EQ(answer, "\x8a\0\x82\x0b"s + "early late\n" + "\x88\x02\x03\xe8"s);
    send_text(fd, masked(0x88, "\x03\xe8"s));
    EXPECT_EQ(receive_text(fd), "") << "the server closes when the client has";
}

TEST(Websocket, TellsItsOtherSideThatTheClientHasGone) {
    TestServer server(echo_line);
    for (const std::string& end : {masked(0x88, "\x03\xe8"s), ""s}) {
        UniqueFd fd = server.connect();
        send_text(fd, std::string(ask) + masked(0x82, "no line's end") + end);
        if (end.empty()) {
            shutdown(fd.get(), SHUT_WR);
        }
        const std::string answer = receive_text(fd);
        // Who has closed gets its code back and nothing more.
        EXPECT_EQ(
            answer.substr(answer.find("\r\n\r\n") + 4),
            end.empty() ? "\x82\x0dno line's end\x88\x02\x03\xe8"s : "\x88\x02\x03\xe8"s);
    }
    server.server().stop(std::chrono::seconds(5));
}

TEST(Websocket, AnswersARequestThatAsksForNone) {
    TestServer server(echo_line);
    UniqueFd fd = server.connect();
    send_text(fd, "GET /attach HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(receive_text(fd, "\r\n\r\n").find(" 400 "), std::string::npos);
}

} // namespace berth::http
