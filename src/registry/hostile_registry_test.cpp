// SPDX-License-Identifier: Apache-2.0
// Registries that want more than they are given: secrets, time, memory.
#include "base/strings.h"
#include "base/synchronized.h"
#include "codec/base64.h"
#include "oci/digester.h"
#include "oci/manifest.h"
#include "registry/address.h"
#include "registry/authorizer.h"
#include "registry/test_registry.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace berth::registry {

namespace {

using Handle = std::function<void(http::Request&, http::Body&, http::ResponseWriter&)>;

// Answers /v2/ itself.
LoopbackServer scripted(Handle handle) {
    return LoopbackServer(
        [handle = std::move(handle)](
            std::stop_token, http::Request& request, http::Body& body, http::ResponseWriter& out) {
            if (request.path == "/v2/") {
                reply(out, 200);
            } else {
                handle(request, body, out);
            }
        });
}

Client client_of(const LoopbackServer& server, ClientOptions options = {}) {
    return Client(server.host(), "team/app", Action::Push, std::move(options));
}

// Another name for the same machine, so another host.
std::string elsewhere(const LoopbackServer& server) {
    return "http://localhost" + server.host().substr(server.host().find(':'));
}

// Until the client has had enough.
void pour(http::ResponseWriter& out, std::uint64_t announced, std::atomic<std::uint64_t>& sent) {
    const std::string block(64U << 10, ' ');
    http::Headers headers;
    if (announced > 0) {
        headers.add("Content-Length", std::to_string(announced));
    }
    if (!out.begin(200, headers).ok()) {
        return;
    }
    while (out.write(block).ok()) {
        sent += block.size();
    }
}

} // namespace

TEST(HostileRegistry, GetsNoSecretForATokenServerWithoutTls) {
    std::atomic<int> asked = 0;
    LoopbackServer tokens = scripted([&](http::Request&, http::Body&, http::ResponseWriter& out) {
        ++asked;
        reply(out, 200, {}, R"({"token":"T"})");
    });
    Transport transport("test");
    Authorizer authorizer(transport, {.username = "me", .password = "secret"});
    std::string realm = "http://" + tokens.host() + "/token";
    auto challenges = parse_challenges("Bearer realm=\"" + realm + "\",service=\"s\"");
    authorizer.set_challenges(challenges, {.url = "https://registry.example"});
    auto refused = authorizer.header({}, "repository:a:pull");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(
        refused.error().message(),
        "https://registry.example names a token server without TLS, \"" + realm +
            "\": refusing to send credentials there");
    EXPECT_EQ(asked, 0);
    authorizer.set_challenges(challenges, {.url = "http://registry.example"});
    EXPECT_EQ(*authorizer.header({}, "repository:a:pull"), "Bearer T");
}

TEST(HostileRegistry, IsAskedForEachScopeAndWithTheIdentityToken) {
    Synchronized<std::vector<std::string>> seen;
    LoopbackServer tokens =
        scripted([&](http::Request& request, http::Body& body, http::ResponseWriter& out) {
            std::string text = request.method + " ";
            if (request.method == "POST") {
                text += read_to_end(body, 4096).value();
            } else {
                for (std::string_view scope : request.query.get_all("scope")) {
                    text += "[" + std::string(scope) + "]";
                }
            }
            seen.lock()->push_back(text);
            reply(out, 200, {}, R"({"access_token":"T","expires_in":300})");
        });
    Transport transport("test");
    auto challenges =
        parse_challenges("Bearer realm=\"http://" + tokens.host() + "/token\",service=\"s\"");
    Authorizer by_password(transport, {.username = "me", .password = "secret"});
    by_password.set_challenges(challenges, {.url = "http://" + tokens.host()});
    const std::string scopes = "repository:a:pull,push repository:b:pull";
    for (int i = 0; i < 2; ++i) { // the second time from memory
        EXPECT_EQ(*by_password.header({}, scopes), "Bearer T");
    }
    by_password.forget_tokens();
    EXPECT_EQ(*by_password.header({}, "repository:a:pull"), "Bearer T");
    Authorizer by_token(transport, {.identity_token = "I"});
    by_token.set_challenges(challenges, {.url = "http://" + tokens.host()});
    EXPECT_EQ(*by_token.header({}, "repository:a:pull"), "Bearer T");
    auto guard = seen.lock();
    ASSERT_EQ(guard->size(), 3U);
    EXPECT_EQ((*guard)[0], "GET [repository:a:pull,push][repository:b:pull]");
    EXPECT_EQ((*guard)[1], "GET [repository:a:pull]");
    EXPECT_TRUE((*guard)[2].starts_with("POST ")) << (*guard)[2];
    for (const char* part : {"grant_type=refresh_token", "refresh_token=I", "service=s"}) {
        EXPECT_NE((*guard)[2].find(part), std::string::npos) << (*guard)[2];
    }
}

TEST(HostileRegistry, GetsANewTokenWhenOneIsNotTaken) {
    std::atomic<int> tokens = 0;
    LoopbackServer server([&](std::stop_token,
                              http::Request& request,
                              http::Body&,
                              http::ResponseWriter& out) {
        std::string host(request.headers.get("Host"));
        if (request.path == "/token") {
            reply(out, 200, {}, R"({"token":"T)" + std::to_string(++tokens) + "\"}");
        } else if (request.headers.get("Authorization") == "Bearer T2") {
            reply(out, 200, {{"Content-Type", "a/b"}}, "{}");
        } else {
            reply(out, 401, {{"WWW-Authenticate", "Bearer realm=\"http://" + host + "/token\""}});
        }
    });
    auto manifest = client_of(server).manifest({}, "v1");
    ASSERT_TRUE(manifest.ok()) << manifest.error().message();
    EXPECT_EQ(tokens, 2);
}

TEST(HostileRegistry, RunsInACircleOnlySoOften) {
    std::atomic<int> asked = 0;
    LoopbackServer server =
        scripted([&](http::Request& request, http::Body&, http::ResponseWriter& out) {
            ++asked;
            reply(out, 302, {{"Location", request.path}});
        });
    auto manifest = client_of(server).manifest({}, "v1");
    ASSERT_FALSE(manifest.ok());
    EXPECT_EQ(
        manifest.error().message(),
        "Get \"http://" + server.host() +
            "/v2/team/app/manifests/v1\": stopped after 10 redirects");
    EXPECT_EQ(asked, 11);
}

TEST(HostileRegistry, SendsNobodyElseWhatIsForIt) {
    std::atomic<bool> leaked = false;
    std::atomic<int> tokens = 0;
    LoopbackServer storage =
        scripted([&](http::Request& request, http::Body&, http::ResponseWriter& out) {
            leaked = leaked || request.headers.contains("Authorization") ||
                     request.headers.contains("X-Key");
            if (request.path == "/token") {
                ++tokens;
                reply(out, 200, {}, R"({"token":"T"})");
                return;
            }
            std::string realm = "http://" + std::string(request.headers.get("Host")) + "/token";
            reply(out, 401, {{"WWW-Authenticate", "Bearer realm=\"" + realm + "\""}});
        });
    LoopbackServer server =
        scripted([&](http::Request& request, http::Body&, http::ResponseWriter& out) {
            EXPECT_EQ(request.headers.get("X-Key"), "secret");
            reply(out, 307, {{"Location", elsewhere(storage) + "/blob"}});
        });
    RegistryHost host{.bases = {{.url = "http://" + server.host()}}};
    host.bases[0].headers.add("X-Key", "secret");
    Client client =
        client_of(server, {.credentials = {.username = "me", .password = "secret"}, .host = host});
    auto source = client.open_blob({}, TestImage::describe("a/b", "blob"));
    ASSERT_FALSE(source.ok());
    EXPECT_EQ(source.error().kind(), ErrorKind::Unauthorized);
    EXPECT_FALSE(leaked);
    EXPECT_EQ(tokens, 0);
}

TEST(HostileRegistry, SendsNobodyElseWhatIsForItWhenItIsAskedFirst) {
    std::atomic<int> asked = 0;
    std::atomic<bool> leaked = false;
    LoopbackServer storage(
        [&](std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& out) {
            ++asked;
            leaked = leaked || request.headers.contains("X-Key");
            reply(out, 200);
        });
    LoopbackServer server(
        [&](std::stop_token, http::Request&, http::Body&, http::ResponseWriter& out) {
            reply(out, 307, {{"Location", elsewhere(storage) + "/v2/"}});
        });
    RegistryHost host{.bases = {{.url = "http://" + server.host()}}};
    host.bases[0].headers.add("X-Key", "secret");
    EXPECT_TRUE(client_of(server, {.host = host}).ping({}).ok());
    EXPECT_EQ(asked, 1);
    EXPECT_FALSE(leaked);
}

TEST(HostileRegistry, IsAskedForOneTokenBySeveralThreads) {
    std::atomic<int> tokens = 0;
    LoopbackServer server = scripted([&](http::Request&, http::Body&, http::ResponseWriter& out) {
        ++tokens;
        reply(out, 200, {}, R"({"token":"T"})");
    });
    Transport transport("test");
    Authorizer authorizer(transport, {});
    authorizer.set_challenges(
        parse_challenges("Bearer realm=\"http://" + server.host() + "/token\""),
        {.url = "http://" + server.host()});
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 6; ++i) {
            threads.emplace_back(
                [&] { EXPECT_EQ(*authorizer.header({}, "repository:a:pull"), "Bearer T"); });
        }
    }
    EXPECT_EQ(tokens, 1);
}

TEST(HostileRegistry, MayHaveATokenServerThatIsBusy) {
    std::atomic<int> tokens = 0;
    LoopbackServer server([&](std::stop_token,
                              http::Request& request,
                              http::Body&,
                              http::ResponseWriter& out) {
        std::string host(request.headers.get("Host"));
        if (request.path == "/token") {
            bool busy = ++tokens < 3;
            reply(out, busy ? (tokens == 1 ? 429 : 503) : 200, {}, R"({"token":"T"})");
        } else if (request.headers.get("Authorization") == "Bearer T") {
            reply(out, 200, {{"Content-Type", "a/b"}}, "{}");
        } else {
            reply(out, 401, {{"WWW-Authenticate", "Bearer realm=\"http://" + host + "/token\""}});
        }
    });
    auto manifest = client_of(server).manifest({}, "v1");
    ASSERT_TRUE(manifest.ok()) << manifest.error().message();
    EXPECT_EQ(tokens, 3);
}

TEST(HostileRegistry, IsToldApartByItsOriginAlone) {
    EXPECT_EQ(origin_of("https://Reg.example/v2/"), "https://reg.example:443");
    EXPECT_EQ(origin_of("https://reg.example:443/x"), origin_of("HTTPS://reg.example"));
    EXPECT_EQ(origin_of("http://reg.example?x"), "http://reg.example:80");
    EXPECT_EQ(origin_of("https://[::1]/v2/"), "https://[::1]:443");
    EXPECT_NE(origin_of("http://reg.example/"), origin_of("https://reg.example/"));
    for (const char* other :
         {"https://reg.example@evil.example/",
          "https://reg.example\\@evil.example/",
          "https://reg.example.evil.example/",
          "https://reg.example:444/",
          "reg.example/",
          "https:///"}) {
        EXPECT_NE(origin_of(other), "https://reg.example:443") << other;
    }
}

TEST(HostileRegistry, CannotPassAnythingForADigestOfAnUnknownKind) {
    LoopbackServer server = scripted([&](http::Request&, http::Body&, http::ResponseWriter& out) {
        reply(out, 200, {{"Content-Type", "a/b"}}, "{}");
    });
    auto manifest = client_of(server).manifest({}, "sha384:" + std::string(96, 'a'));
    ASSERT_FALSE(manifest.ok());
    std::string sha512 = oci::digest_of("sha512", "{}").to_string();
    auto good = client_of(server).manifest({}, sha512);
    ASSERT_TRUE(good.ok()) << good.error().message();
    EXPECT_EQ(good->descriptor.digest.to_string(), sha512);
    EXPECT_FALSE(client_of(server).manifest({}, oci::digest_of("sha512", "x").to_string()).ok());
}

TEST(HostileRegistry, MaySendAPostElsewhere) {
    LoopbackServer server =
        scripted([&](http::Request& request, http::Body&, http::ResponseWriter& out) {
            if (request.path == "/moved") {
                reply(out, request.method == "POST" ? 201 : 405);
            } else {
                reply(out, 308, {{"Location", "/moved"}});
            }
        });
    auto mounted = client_of(server).mount_blob({}, oci::Digest::of("x"), "team/other");
    ASSERT_TRUE(mounted.ok()) << mounted.error().message();
    EXPECT_TRUE(*mounted);
}

TEST(HostileRegistry, IsGivenUpWhenItSaysNothing) {
    LoopbackServer server(
        [](std::stop_token token, http::Request& request, http::Body&, http::ResponseWriter& out) {
            if (request.path == "/v2/") {
                reply(out, 200);
                return;
            }
            while (!token.stop_requested()) {
                std::this_thread::yield();
            }
        });
    Client client = client_of(server, {.attempts = 1, .stalled = std::chrono::seconds(1)});
    auto manifest = client.manifest({}, "v1");
    ASSERT_FALSE(manifest.ok());
    EXPECT_EQ(
        manifest.error().message(),
        "Get \"http://" + server.host() + "/v2/team/app/manifests/v1\": " + server.host() +
            " sent less than 128 bytes a second for 1 s");
}

TEST(HostileRegistry, IsNotWaitedForLongerThanAMinute) {
    std::atomic<int> asked = 0;
    LoopbackServer server = scripted([&](http::Request&, http::Body&, http::ResponseWriter& out) {
        if (++asked == 1) { // a date that has passed
            reply(out, 503, {{"Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"}});
            return;
        }
        reply(
            out,
            429,
            {{"Retry-After", "7200"}},
            R"({"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]})");
    });
    auto manifest = client_of(server).manifest({}, "v1");
    ASSERT_FALSE(manifest.ok());
    EXPECT_EQ(manifest.error().kind(), ErrorKind::ResourceExhausted);
    EXPECT_EQ(
        manifest.error().message(),
        "toomanyrequests: slow down (the registry asks to wait 7200 s)");
    EXPECT_EQ(asked, 2);
}

TEST(HostileRegistry, CannotFillMemoryWithAManifest) {
    std::atomic<std::uint64_t> sent = 0;
    LoopbackServer server = scripted([&](http::Request&, http::Body&, http::ResponseWriter& out) {
        pour(out, 100U << 20, sent);
    });
    auto manifest = client_of(server).manifest({}, "v1");
    ASSERT_FALSE(manifest.ok());
    EXPECT_EQ(
        manifest.error().message(),
        "the manifest team/app v1 is larger than the limit of 4194304 bytes");
    EXPECT_LT(sent, 50U << 20);
}

TEST(HostileRegistry, CannotSendMoreThanABlobHas) {
    std::atomic<std::uint64_t> sent = 0;
    LoopbackServer server = scripted(
        [&](http::Request&, http::Body&, http::ResponseWriter& out) { pour(out, 0, sent); });
    oci::Descriptor blob = TestImage::describe("a/b", std::string(1U << 20, ' '));
    Client client = client_of(server);
    auto source = client.open_blob({}, blob);
    ASSERT_TRUE(source.ok()) << source.error().message();
    auto bytes = read_to_end(**source, 1U << 30);
    ASSERT_FALSE(bytes.ok());
    EXPECT_EQ(bytes.error().kind(), ErrorKind::DataLoss);
    EXPECT_EQ(
        bytes.error().message(),
        "the registry sent more than the 1048576 bytes that blob " + blob.digest.to_string() +
            " has");
}

TEST(HostileRegistry, CannotNameTenThousandLayers) {
    oci::Manifest manifest;
    manifest.media_type = oci::media_type::oci_manifest;
    manifest.config = TestImage::describe(oci::media_type::oci_config, "{}");
    for (int i = 0; i < 10'000; ++i) {
        manifest.layers.push_back(
            TestImage::describe(oci::media_type::oci_layer_gzip, std::to_string(i)));
    }
    auto parsed = oci::parse_manifest(manifest.serialize());
    ASSERT_FALSE(parsed.ok());
    EXPECT_NE(parsed.error().message().find("the limit of 1024 descriptors"), std::string::npos)
        << parsed.error().message();
}

TEST(HostileRegistry, CannotChangeATaggedManifestUnnoticed) {
    std::string promised = oci::Digest::of("{}").to_string();
    LoopbackServer server = scripted([&](http::Request&, http::Body&, http::ResponseWriter& out) {
        reply(out, 200, {{"Docker-Content-Digest", promised}}, "{ }");
    });
    auto manifest = client_of(server).manifest({}, "v1");
    ASSERT_FALSE(manifest.ok());
    EXPECT_EQ(manifest.error().kind(), ErrorKind::DataLoss);
}

} // namespace berth::registry
