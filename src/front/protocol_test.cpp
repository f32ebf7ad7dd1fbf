// SPDX-License-Identifier: Apache-2.0
#include "front/identity_session.h"
#include "front/protocol.h"
#include "kernel/socket.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include <sys/socket.h>

namespace berth::front {

namespace {

using Step = http::TlsSession::Step;

TEST(FrontProtocol, TakesBackWhatItWrote) {
    UseTls tls;
    tls.material.certificate = {"cert.pem", "certificate"};
    tls.material.key = {"key.pem", std::string(70'000, 'k')};
    tls.material.minimum = http::TlsOptions::Minimum::Version13;
    auto read = decode(encode(tls));
    ASSERT_TRUE(read.ok());
    const auto& material = std::get<UseTls>(*read).material;
    EXPECT_EQ(material.certificate.file, "cert.pem");
    EXPECT_EQ(material.certificate.pem, "certificate");
    EXPECT_EQ(material.key.pem, tls.material.key.pem);
    EXPECT_EQ(material.client_ca.file, "");
    EXPECT_EQ(material.minimum, http::TlsOptions::Minimum::Version13);

    const CarryWebsocket websocket{
        .kind = http::Websocket::Kind::Text,
        .received = std::string("\0\x81", 2),
        .to_send = "head"};
    read = decode(encode(websocket));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(std::get<CarryWebsocket>(*read).kind, http::Websocket::Kind::Text);
    EXPECT_EQ(std::get<CarryWebsocket>(*read).received, websocket.received);
    EXPECT_EQ(std::get<CarryWebsocket>(*read).to_send, "head");
    EXPECT_TRUE(std::holds_alternative<CarryTls>(decode(encode(CarryTls())).value()));
}

TEST(FrontProtocol, RefusesWhatIsCutOff) {
    const std::string whole = encode(CarryWebsocket{.received = "received", .to_send = "head"});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(decode(std::string_view(whole).substr(0, size)).ok()) << size;
    }
    EXPECT_FALSE(decode("?").ok());
    EXPECT_FALSE(identity_size("\xff\xff\xff\x7f").ok());
}

// Whatever pieces it comes in, and not a byte of what follows is taken.
TEST(IdentitySession, ReadsTheIdentityAndNothingElse) {
    const http::TlsIdentity identity{"J\xc3\xbcrgen", {std::string(20'000, 'a'), "b"}};
    const std::string bytes = encode_identity(identity);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{4}, std::size_t{4099}}) {
        auto pair = kernel::socket_pair(SOCK_STREAM | SOCK_NONBLOCK).value();
        IdentitySession session(pair.first);
        std::string rest = bytes + "GET / HTTP/1.1\r\n\r\n";
        auto step = Step::WantsRead;
        while (step == Step::WantsRead && !rest.empty()) {
            EXPECT_FALSE(session.established());
            const std::string part = rest.substr(0, piece);
            rest.erase(0, part.size());
            ASSERT_EQ(::send(pair.second.get(), part.data(), part.size(), 0), ssize_t(part.size()));
            step = session.handshake();
        }
        ASSERT_EQ(step, Step::Done);
        EXPECT_EQ(session.peer().common_name, identity.common_name);
        EXPECT_EQ(session.peer().certificates, identity.certificates);
        ASSERT_EQ(::send(pair.second.get(), rest.data(), rest.size(), 0), ssize_t(rest.size()));
        std::array<char, 100> buffer{};
        const ssize_t count = session.receive(buffer);
        ASSERT_GT(count, 0);
        EXPECT_EQ(std::string(buffer.data(), std::size_t(count)), "GET / HTTP/1.1\r\n\r\n");
    }
}

TEST(IdentitySession, FailsWhenTheFrontGivesUpTheConnection) {
    for (const std::string& said :
         {std::string(), std::string("\x10\0\0", 3), std::string("\xff\xff\xff\xff")}) {
        auto pair = kernel::socket_pair(SOCK_STREAM | SOCK_NONBLOCK).value();
        IdentitySession session(pair.first);
        ASSERT_EQ(::send(pair.second.get(), said.data(), said.size(), 0), ssize_t(said.size()));
        pair.second.reset();
        EXPECT_EQ(session.handshake(), Step::Failed);
        EXPECT_FALSE(session.established());
    }
}

} // namespace

} // namespace berth::front
