// SPDX-License-Identifier: Apache-2.0
// Tags and referrers as registries of several ages list them.
#include "oci/manifest.h"
#include "registry/client.h"
#include "registry/test_registry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>

namespace berth::registry {

namespace {

std::string artifact(const std::string& subject, const std::string& type, const std::string& note) {
    oci::Manifest document;
    document.media_type = oci::media_type::oci_manifest;
    document.artifact_type = type;
    document.config = TestImage::describe(oci::media_type::oci_empty, "{}");
    document.layers = {document.config};
    document.subject = TestImage::describe(oci::media_type::oci_manifest, subject);
    document.annotations = {{"note", note}};
    return document.serialize();
}

// A registry from before referrers: manifests by tag or digest, nothing else.
class OldRegistry {
  public:
    std::map<std::string, std::string> manifests; // by reference

    std::string host() const { return server_.host(); }

  private:
    void handle(http::Request& request, http::Body& body, http::ResponseWriter& out) {
        std::lock_guard lock(mutex_);
        constexpr std::string_view prefix = "/v2/team/app/manifests/";
        if (request.path == "/v2/") {
            (void)out.respond(200, {}, "");
            return;
        }
        std::string reference =
            request.path.starts_with(prefix) ? request.path.substr(prefix.size()) : std::string();
        if (request.method == "PUT") {
            manifests[reference] = body.read_all().value();
            (void)out.respond(201, {}, "");
        } else if (auto found = manifests.find(reference); found != manifests.end()) {
            http::Headers headers{{"Content-Type", std::string(oci::media_type::oci_index)}};
            (void)out.respond(200, headers, found->second);
        } else {
            (void)out.respond(404, {}, "404 page not found");
        }
    }

    std::mutex mutex_;
    LoopbackServer server_{
        [this](
            std::stop_token, http::Request& request, http::Body& body, http::ResponseWriter& out) {
            handle(request, body, out);
        }};
};

} // namespace

TEST(ClientListings, FollowTheirPages) {
    TestRegistry registry;
    TestImage image({"x"});
    std::vector<std::string> tags;
    for (int i = 10; i < 15; ++i) {
        tags.push_back("v" + std::to_string(i));
        publish(registry.client(), image, "team/app", tags.back());
    }
    LoopbackServer paging([&](const std::stop_token& stop,
                              http::Request& request,
                              http::Body& body,
                              http::ResponseWriter& out) {
        if (request.path.ends_with("/tags/list") && !request.query.contains("n")) {
            request.query.add("n", "2"); // as a registry that gives only so many
        }
        registry.handler()(stop, request, body, out);
    });
    Client client(paging.host(), "team/app", Action::Pull, {});
    auto found = client.tags({});
    ASSERT_TRUE(found.ok()) << found.error().message();
    EXPECT_EQ(*found, tags);
    Client nobody(paging.host(), "team/nobody", Action::Pull, {});
    EXPECT_EQ(nobody.tags({}).error().kind(), ErrorKind::NotFound);
}

TEST(ClientListings, DoNotFollowAPageElsewhereOrInACircle) {
    std::string next;
    LoopbackServer server(
        [&](std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& out) {
            http::Headers headers;
            if (request.path != "/v2/") {
                headers.add("Link", "<" + next + ">; rel=\"next\"");
            }
            (void)out.respond(200, headers, R"({"tags":["a"]})");
        });
    for (const char* target : {"/v2/team/app/tags/list", "http://localhost:1/v2/x/tags/list"}) {
        next = target;
        auto found = Client(server.host(), "team/app", Action::Pull, {}).tags({});
        ASSERT_FALSE(found.ok()) << target;
        EXPECT_NE(found.error().message().find("where it cannot be"), std::string::npos);
    }
}

TEST(ClientListings, FindReferrersByTheApi) {
    TestRegistry registry;
    TestImage image({"x"});
    publish(registry.client(), image, "team/app", "v1");
    Client client(registry.host(), "team/app", Action::Push, {});
    auto open = [](std::uint64_t offset) -> Result<std::unique_ptr<ByteSource>> {
        return std::unique_ptr<ByteSource>(
            std::make_unique<StringSource>(std::string("{}").substr(offset)));
    };
    oci::Descriptor empty = TestImage::describe(oci::media_type::oci_empty, "{}");
    ASSERT_TRUE(client.upload_blob({}, empty, open, nullptr).ok());
    for (const char* type : {"a/sbom", "a/signature"}) {
        std::string bytes = artifact(image.manifest, type, "n");
        auto pushed = client.put_manifest(
            {}, oci::Digest::of(bytes).to_string(), oci::media_type::oci_manifest, bytes);
        ASSERT_TRUE(pushed.ok()) << pushed.error().message();
    }
    oci::Digest subject = oci::Digest::of(image.manifest);
    EXPECT_EQ(client.referrers({}, subject, "")->size(), 2U);
    auto filtered = client.referrers({}, subject, "a/sbom");
    ASSERT_EQ(filtered->size(), 1U);
    EXPECT_EQ((*filtered)[0].artifact_type, "a/sbom");
    EXPECT_EQ((*filtered)[0].annotations.at("note"), "n");
    EXPECT_EQ(client.tags({}).value(), std::vector<std::string>{"v1"}); // no tag in their place
    EXPECT_TRUE(client.referrers({}, oci::Digest::of("nothing"), "")->empty());
}

TEST(ClientListings, KeepReferrersUnderATagWhereTheRegistryDoesNot) {
    OldRegistry registry;
    Client client(registry.host(), "team/app", Action::Push, {});
    oci::Digest subject = oci::Digest::of("subject");
    EXPECT_TRUE(client.referrers({}, subject, "")->empty());
    for (int round = 0; round < 2; ++round) { // a push again changes nothing
        for (const char* type : {"a/sbom", "a/signature"}) {
            std::string bytes = artifact("subject", type, "n");
            auto pushed = client.put_manifest(
                {}, oci::Digest::of(bytes).to_string(), oci::media_type::oci_manifest, bytes);
            ASSERT_TRUE(pushed.ok()) << pushed.error().message();
        }
    }
    std::string tag = "sha256-" + std::string(subject.hex());
    ASSERT_TRUE(registry.manifests.contains(tag));
    EXPECT_EQ(client.referrers({}, subject, "")->size(), 2U);
    auto filtered = client.referrers({}, subject, "a/signature");
    ASSERT_EQ(filtered->size(), 1U);
    EXPECT_EQ((*filtered)[0].annotations.at("note"), "n");
}

} // namespace berth::registry
