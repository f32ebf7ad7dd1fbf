// SPDX-License-Identifier: Apache-2.0
// The client against registries that misbehave in every way that real ones do.
#include "base/strings.h"
#include "base/synchronized.h"
#include "codec/base64.h"
#include "registry/client.h"
#include "registry/test_registry.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

#include <sys/socket.h>

namespace berth::registry {

namespace {

std::stop_token never() {
    return {};
}

Client
make_client(const std::string& host, ClientOptions options = {}, Action action = Action::Pull) {
    return Client(host, "team/app", action, std::move(options));
}

} // namespace

TEST(RegistryClient, SaysWhereNobodyListens) {
    std::string host;
    {
        LoopbackServer server(
            [](std::stop_token, http::Request&, http::Body&, http::ResponseWriter&) {});
        host = server.host();
    }
    auto outcome = make_client(host).ping(never());
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().kind(), ErrorKind::Unavailable);
    EXPECT_EQ(
        outcome.error().message(),
        "Get \"http://" + host + "/v2/\": dial tcp " + host + ": connect: connection refused");
}

TEST(RegistryClient, TakesATokenFromTheTokenServer) {
    std::atomic<int> tokens = 0;
    std::string host;
    LoopbackServer server([&](std::stop_token,
                              http::Request& request,
                              http::Body&,
                              http::ResponseWriter& out) {
        if (request.path == "/token") {
            ++tokens;
            EXPECT_EQ(request.query.get("service"), "test");
            EXPECT_EQ(request.query.get("scope"), "repository:team/app:pull");
            EXPECT_EQ(request.headers.get("Authorization"), "Basic " + base64_encode("me:secret"));
            reply(out, 200, {}, R"({"token":"T1","expires_in":300})");
        } else if (request.headers.get("Authorization") != "Bearer T1") {
            reply(
                out,
                401,
                {{"WWW-Authenticate",
                  "Bearer realm=\"http://" + std::string(request.headers.get("Host")) +
                      "/token\",service=\"test\""}});
        } else {
            reply(out, 200, {{"Content-Type", "application/vnd.oci.image.manifest.v1+json"}}, "{}");
        }
    });
    Client client =
        make_client(server.host(), {.credentials = {.username = "me", .password = "secret"}});
    for (int i = 0; i < 3; ++i) {
        auto manifest = client.manifest(never(), "v1");
        ASSERT_TRUE(manifest.ok()) << manifest.error().message();
        EXPECT_EQ(manifest->bytes, "{}");
    }
    EXPECT_EQ(tokens, 1);
}

TEST(RegistryClient, UsesBasicAuthenticationWhereItIsWanted) {
    LoopbackServer server(
        [](std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& out) {
            bool good =
                request.headers.get("Authorization") == "Basic " + base64_encode("me:secret");
            reply(out, good ? 200 : 401, {{"WWW-Authenticate", "Basic realm=\"x\""}}, "{}");
        });
    ClientOptions right{.credentials = {.username = "me", .password = "secret"}};
    ClientOptions wrong{.credentials = {.username = "me", .password = "guess"}};
    EXPECT_TRUE(make_client(server.host(), right).check_credentials(never()).ok());
    auto refused = make_client(server.host(), wrong).check_credentials(never());
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::Unauthorized);
    auto manifest = make_client(server.host(), wrong).manifest(never(), "v1");
    EXPECT_EQ(manifest.error().message(), "unauthorized: authentication required");
}

TEST(RegistryClient, RepeatsWhatFailsForTheMoment) {
    std::atomic<int> asked = 0;
    LoopbackServer server(
        [&](std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& out) {
            if (request.path == "/v2/") {
                reply(out, 200);
            } else if (++asked == 1) {
                reply(out, 429, {{"Retry-After", "0"}});
            } else if (asked == 2) {
                reply(out, 503, {{"Retry-After", "0"}});
            } else {
                reply(out, 200, {{"Content-Type", "a/b"}}, "{}");
            }
        });
    EXPECT_TRUE(make_client(server.host()).manifest(never(), "v1").ok());
    EXPECT_EQ(asked, 3);
}

TEST(RegistryClient, ResumesABlobWhoseConnectionBreaks) {
    std::string content;
    while (content.size() < 3'000'000) {
        content += std::to_string(content.size()) + " ";
    }
    Synchronized<std::vector<std::string>> ranges;
    LoopbackServer server(
        [&](std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& out) {
            if (request.path == "/v2/") {
                reply(out, 200);
                return;
            }
            std::string range(request.headers.get("Range"));
            ranges.lock()->push_back(range);
            std::size_t start = 0;
            if (!range.empty()) {
                start =
                    *parse_number<std::size_t>(std::string_view(range).substr(6, range.size() - 7));
            }
            std::size_t size = std::min<std::size_t>(1'000'000, content.size() - start);
            http::Headers headers{{"Content-Length", std::to_string(content.size() - start)}};
            headers.add(
                "Content-Range",
                "bytes " + std::to_string(start) + "-" + std::to_string(content.size() - 1) + "/" +
                    std::to_string(content.size()));
            ASSERT_TRUE(out.begin(start == 0 ? 200 : 206, headers).ok());
            ASSERT_TRUE(out.write(std::string_view(content).substr(start, size)).ok());
            if (start + size == content.size()) {
                ASSERT_TRUE(out.finish().ok());
            }
        });
    Client client = make_client(server.host());
    auto source =
        client.open_blob(never(), TestImage::describe("application/octet-stream", content));
    ASSERT_TRUE(source.ok()) << source.error().message();
    auto bytes = read_to_end(**source, content.size() + 1);
    ASSERT_TRUE(bytes.ok()) << bytes.error().message();
    EXPECT_TRUE(*bytes == content);
    EXPECT_GE(ranges.lock()->size(), 3U);
}

TEST(RegistryClient, SkipsWhatARegistryWithoutRangesSendsAgain) {
    LoopbackServer server(
        [](std::stop_token, http::Request&, http::Body&, http::ResponseWriter& out) {
            reply(out, 200, {}, "0123456789");
        });
    Client client = make_client(server.host());
    auto source = client.open_blob(never(), TestImage::describe("a/b", "0123456789"), 4);
    ASSERT_TRUE(source.ok());
    EXPECT_EQ(*read_to_end(**source, 100), "456789");
}

TEST(RegistryClient, KeepsItsTokenFromTheHostItIsRedirectedTo) {
    std::atomic<bool> leaked = false;
    LoopbackServer storage(
        [&](std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& out) {
            leaked = request.headers.contains("Authorization");
            reply(out, 200, {}, "blob");
        });
    // Another name for the same machine: redirects inside one host keep the header.
    std::string elsewhere = "http://localhost" + storage.host().substr(storage.host().find(':'));
    LoopbackServer server(
        [&](std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& out) {
            if (request.path == "/v2/") {
                reply(out, 200);
            } else {
                EXPECT_EQ(request.headers.get("Authorization"), "Bearer given");
                reply(out, 307, {{"Location", elsewhere + "/blob"}});
            }
        });
    Client client = make_client(server.host(), {.credentials = {.registry_token = "given"}});
    auto source = client.open_blob(never(), TestImage::describe("a/b", "blob"));
    ASSERT_TRUE(source.ok()) << source.error().message();
    EXPECT_EQ(*read_to_end(**source, 100), "blob");
    EXPECT_FALSE(leaked);
}

TEST(RegistryClient, RefusesAManifestThatIsNotTheOneAskedFor) {
    LoopbackServer server(
        [](std::stop_token, http::Request&, http::Body&, http::ResponseWriter& out) {
            reply(out, 200, {}, "{\"evil\":true}");
        });
    auto wanted = oci::Digest::of("{}").to_string();
    auto manifest = make_client(server.host()).manifest(never(), wanted);
    ASSERT_FALSE(manifest.ok());
    EXPECT_EQ(manifest.error().kind(), ErrorKind::DataLoss);
    EXPECT_EQ(manifest.error().message(), "manifest verification failed for digest " + wanted);
}

TEST(RegistryClient, StopsWhileItWaits) {
    std::atomic<bool> reached = false;
    LoopbackServer server(
        [&](std::stop_token token, http::Request& request, http::Body&, http::ResponseWriter& out) {
            if (request.path == "/v2/") {
                reply(out, 200);
                return;
            }
            reached = true;
            while (!token.stop_requested()) {
                std::this_thread::yield();
            }
        });
    std::stop_source stop;
    std::jthread stopper([&] {
        while (!reached) {
            std::this_thread::yield();
        }
        stop.request_stop();
    });
    auto manifest = make_client(server.host()).manifest(stop.get_token(), "v1");
    ASSERT_FALSE(manifest.ok());
    EXPECT_EQ(manifest.error().kind(), ErrorKind::Cancelled);
}

TEST(RegistryClient, UploadsMountsAndFinds) {
    TestRegistry registry;
    std::string bytes(300'000, 'z');
    auto descriptor = TestImage::describe("application/octet-stream", bytes);
    Client first(registry.host(), "one", Action::Push, {});
    Client second(registry.host(), "two", Action::Push, {});
    EXPECT_FALSE(*first.has_blob(never(), descriptor.digest));
    EXPECT_FALSE(*second.mount_blob(never(), descriptor.digest, "one"));
    std::uint64_t sent = 0;
    auto open = [&](std::uint64_t) -> Result<std::unique_ptr<ByteSource>> {
        return std::unique_ptr<ByteSource>(std::make_unique<StringSource>(bytes));
    };
    auto uploaded =
        first.upload_blob(never(), descriptor, open, [&](std::uint64_t count) { sent = count; });
    ASSERT_TRUE(uploaded.ok()) << uploaded.error().message();
    EXPECT_EQ(sent, bytes.size());
    EXPECT_TRUE(*first.has_blob(never(), descriptor.digest));
    EXPECT_TRUE(*second.mount_blob(never(), descriptor.digest, "one"));
    EXPECT_TRUE(*second.has_blob(never(), descriptor.digest));
    EXPECT_FALSE(second.find_manifest(never(), "v1")->has_value());
}

} // namespace berth::registry
