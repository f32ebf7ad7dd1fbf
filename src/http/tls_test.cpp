// SPDX-License-Identifier: Apache-2.0
// The server's TLS, asked by curl and openssl: other people's clients.
#include "base/file.h"
#include "base/strings.h"
#include "http/server.h"
#include "http/socket_io.h"
#include "http/tls.h"
#include "kernel/process.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include <fcntl.h>

namespace berth::http {

namespace {

constexpr const char* curve = "ec -pkeyopt ec_paramgen_curve:P-256"; // made at once

struct Ran {
    int code;
    std::string output;
};

class TlsServer : public testing::Test {
  protected:
    // A command's exit code and all that it printed.
    Ran run(const std::string& command) {
        std::string output = file("output");
        std::string words = "exec >" + output + " 2>&1 </dev/null; " + command;
        auto child = kernel::spawn({.arguments = {"bash", "-c", words}});
        return {std::move(child).value().wait().value().shell_code(), read_file(output).value()};
    }

    std::string file(const std::string& name) const { return directory_.path() + "/" + name; }

    void make_certificate(const std::string& name, const std::string& algorithm) {
        Ran made =
            run("openssl req -x509 -newkey " + algorithm + " -nodes -days 2 -subj /CN=localhost " +
                "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " + file(name + ".key") +
                " -out " + file(name + ".pem"));
        ASSERT_EQ(made.code, 0) << made.output;
    }

    void start(const TlsOptions& options, Handler handler, Limits limits = {}) {
        auto context = TlsContext::create(options);
        ASSERT_TRUE(context.ok()) << context.error().message();
        ServerOptions server;
        server.handler = std::move(handler);
        server.limits = limits;
        server.worker_threads = 4;
        server_ = std::move(Server::create(std::move(server))).value();
        port_ = server_->listen_tcp("127.0.0.1:0", *context).value();
        ASSERT_TRUE(server_->start().ok());
    }

    void start_plain_text() {
        make_certificate("server", curve);
        start(
            server_files(),
            [](std::stop_token, Request& request, Body& body, ResponseWriter& response) {
                std::string text = request.method + " " + body.read_all().value();
                EXPECT_TRUE(response.respond(200, {}, text).ok());
            });
    }

    TlsOptions server_files() const {
        return {.certificate_file = file("server.pem"), .key_file = file("server.key")};
    }

    std::string url() const { return "https://localhost:" + std::to_string(port_) + "/"; }

    std::string curl() const {
        return "curl -sS --max-time 20 --cacert " + file("server.pem") + " ";
    }

    TemporaryDirectory directory_ = std::move(TemporaryDirectory::create("/tmp")).value();
    std::unique_ptr<Server> server_;
    std::uint16_t port_ = 0;
};

} // namespace

TEST_F(TlsServer, ServesRequestsOverOneConnection) {
    start_plain_text();
    Ran asked = run(curl() + "-d one " + url() + " " + url());
    EXPECT_EQ(asked.output, "POST onePOST one");
    EXPECT_NE(run("curl -sS " + url()).code, 0) << "an unknown certificate was taken";
}

TEST_F(TlsServer, TakesABodyOfManyRecordsAndSendsAFile) {
    make_certificate("server", "rsa:2048");
    std::string content;
    for (int i = 0; content.size() < 3'000'000; ++i) {
        content += std::to_string(i) + ",";
    }
    ASSERT_TRUE(replace_file(file("content"), content).ok());
    start(server_files(), [&](std::stop_token, Request&, Body& body, ResponseWriter& response) {
        EXPECT_EQ(body.read_all().value(), content);
        UniqueFd source = std::move(open_file(file("content"), O_RDONLY)).value();
        EXPECT_TRUE(response.send_file(200, {}, source, 0, content.size()).ok());
    });
    Ran sent =
        run(curl() + "--data-binary @" + file("content") + " -o " + file("back") + " " + url());
    EXPECT_EQ(sent.code, 0) << sent.output;
    EXPECT_EQ(read_file(file("back")).value(), content);
}

TEST_F(TlsServer, RefusesOldVersions) {
    start_plain_text();
    std::string connect = "openssl s_client -connect 127.0.0.1:" + std::to_string(port_) +
                          " -cipher DEFAULT@SECLEVEL=0 ";
    EXPECT_NE(run(connect + "-tls1_1").code, 0);
    EXPECT_EQ(run(connect + "-tls1_2").code, 0);
    EXPECT_EQ(run(connect + "-tls1_3").code, 0);
}

TEST_F(TlsServer, AsksForClientCertificatesWhereItShould) {
    make_certificate("server", curve);
    make_certificate("client", curve);
    TlsOptions options = server_files();
    options.client_ca_file = file("client.pem");
    start(options, [](std::stop_token, Request&, Body&, ResponseWriter& response) {
        EXPECT_TRUE(response.respond(200, {}, "known").ok());
    });
    EXPECT_NE(run(curl() + url()).code, 0);
    Ran known =
        run(curl() + "--cert " + file("client.pem") + " --key " + file("client.key") + " " + url());
    EXPECT_EQ(known.output, "known");
}

TEST_F(TlsServer, ClosesConnectionsThatNeverShakeHands) {
    make_certificate("server", curve);
    Limits limits;
    limits.head_time = std::chrono::milliseconds(200);
    start(
        server_files(),
        [](std::stop_token, Request&, Body&, ResponseWriter&) { FAIL() << "nobody asked"; },
        limits);
    // bash reads until the server closes; a plain request is no handshake and ends at once.
    std::string connect =
        "timeout 20 bash -c 'exec 3<>/dev/tcp/127.0.0.1/" + std::to_string(port_) + "; ";
    EXPECT_EQ(run(connect + "cat <&3'").code, 0);
    constexpr int timed_out = 124; // else a reset: the request was not read
    EXPECT_NE(run(connect + "printf \"GET / HTTP/1.1\\r\\n\\r\\n\" >&3; cat <&3'").code, timed_out);
}

TEST_F(TlsServer, TakesARenewedCertificate) {
    start_plain_text();
    EXPECT_EQ(run(curl() + url()).output, "GET ");
    make_certificate("server", curve);
    Ran renewed{1, {}};
    // Files are looked at once a second.
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (renewed.code != 0 && std::chrono::steady_clock::now() < deadline) {
        renewed = run(curl() + url());
    }
    EXPECT_EQ(renewed.output, "GET ");
}

// The server's file has what leads to its root, and the file of authorities several.
TEST_F(TlsServer, TakesFilesOfSeveralCertificates) {
    for (const char* name : {"root", "client", "other"}) {
        make_certificate(name, curve);
    }
    Ran made =
        run("cd " + directory_.path() + "; issue() { openssl req -newkey " + curve +
            " -nodes -subj /CN=$1 -keyout $1.key -out $1.csr && "
            "printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:'$3 > extensions && "
            "openssl x509 -req -days 2 -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial "
            "-extfile extensions -out $1.pem; }; issue middle root TRUE && issue server middle "
            "FALSE && "
            "cat middle.pem >> server.pem && cat other.pem client.pem > clients.pem");
    ASSERT_EQ(made.code, 0) << made.output;
    TlsOptions options = server_files();
    options.client_ca_file = file("clients.pem");
    start(options, [](std::stop_token, Request&, Body&, ResponseWriter& response) {
        EXPECT_TRUE(response.respond(200, {}, "known").ok());
    });
    for (const char* name : {"client", "other"}) {
        Ran known =
            run("curl -sS --max-time 20 --cacert " + file("root.pem") + " --cert " +
                file(std::string(name) + ".pem") + " --key " + file(std::string(name) + ".key") +
                " " + url());
        EXPECT_EQ(known.output, "known");
    }
}

TEST_F(TlsServer, RefusesFilesThatAreCutOffOrLocked) {
    make_certificate("server", curve);
    const std::string whole = read_file(file("server.pem")).value();
    ASSERT_TRUE(replace_file(file("server.pem"), whole + whole.substr(0, whole.size() / 2)).ok());
    auto cut_off = TlsContext::create(server_files());
    ASSERT_FALSE(cut_off.ok());
    EXPECT_NE(cut_off.error().message().find(file("server.pem")), std::string::npos);
    ASSERT_TRUE(replace_file(file("server.pem"), whole).ok());
    ASSERT_EQ(
        run("openssl ec -aes128 -passout pass:secret -in " + file("server.key") + " -out " +
            file("locked.key"))
            .code,
        0);
    auto locked = TlsContext::create(
        {.certificate_file = file("server.pem"), .key_file = file("locked.key")});
    ASSERT_FALSE(locked.ok());
    EXPECT_NE(locked.error().message().find(file("locked.key")), std::string::npos);
}

TEST_F(TlsServer, TellsWhoForgetsTheS) {
    start_plain_text();
    Ran asked = run("curl -sS --max-time 20 http://127.0.0.1:" + std::to_string(port_) + "/");
    EXPECT_NE(asked.output.find("sent an HTTP request to an HTTPS server"), std::string::npos)
        << asked.output;
}

TEST_F(TlsServer, HandsConnectionsOverThroughARelay) {
    make_certificate("server", curve);
    std::string content;
    for (int i = 0; content.size() < 3'000'000; ++i) {
        content += std::to_string(i) + ",";
    }
    start(server_files(), [&](std::stop_token, Request& request, Body& body, ResponseWriter& out) {
        EXPECT_EQ(body.read_all().value(), "{}");
        Hijacked taken = std::move(out.hijack()).value();
        constexpr Milliseconds patience{20'000};
        std::string typed = taken.leftover;
        while (typed.find('\n') == std::string::npos) {
            char buffer[100];
            auto count = receive_some(taken.fd, buffer, patience);
            ASSERT_TRUE(count.ok() && *count > 0);
            typed.append(buffer, *count);
        }
        std::string answer = upgrade_response(request, raw_stream_type) + typed + content;
        EXPECT_TRUE(send_bytes(taken.fd, answer, patience).ok());
    });
    Ran asked =
        run(R"(printf 'POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n)"
            R"(Content-Length: 2\r\n\r\n{}typed\n' | timeout 20 openssl s_client -quiet -CAfile )" +
            file("server.pem") + " -connect 127.0.0.1:" + std::to_string(port_) + " 2>/dev/null");
    EXPECT_EQ(asked.code, 0);
    EXPECT_TRUE(asked.output.starts_with("HTTP/1.1 101 UPGRADED\r\n"));
    EXPECT_EQ(asked.output.substr(asked.output.find("\r\n\r\n") + 4), "typed\n" + content);
}

TEST_F(TlsServer, KnowsWhoseCertificateAClientHas) {
    make_certificate("server", curve);
    TlsOptions options = server_files();
    options.client_ca_file = file("server.pem");
    start(options, [](std::stop_token, Request& request, Body&, ResponseWriter& response) {
        const auto& identity = request.peer.tls;
        ASSERT_NE(identity, nullptr);
        ASSERT_FALSE(identity->certificates.empty());
        EXPECT_TRUE(
            response.respond(200, {}, identity->common_name + " " + identity->certificates[0])
                .ok());
    });
    const std::string subject = " -subj '/CN=first/O=a/CN=J\xc3\xbcrgen' -utf8 ";
    ASSERT_EQ(
        run("openssl req -newkey " + std::string(curve) + " -nodes" + subject + " -keyout " +
            file("client.key") + " -out " + file("client.csr") +
            " && openssl x509 -req -days 2 -in " + file("client.csr") + " -CA " +
            file("server.pem") + " -CAkey " + file("server.key") + " -CAcreateserial -out " +
            file("client.pem"))
            .code,
        0);
    Ran known =
        run(curl() + "--cert " + file("client.pem") + " --key " + file("client.key") + " " + url());
    EXPECT_EQ(known.output, "J\xc3\xbcrgen " + read_file(file("client.pem")).value());
}

TEST(TlsContext, SaysWhichFileIsWrong) {
    auto missing =
        TlsContext::create({.certificate_file = "/absent/a.pem", .key_file = "/absent/b"});
    ASSERT_FALSE(missing.ok());
    EXPECT_NE(missing.error().message().find("/absent/a.pem"), std::string::npos);
}

} // namespace berth::http
