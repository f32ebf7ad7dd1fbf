// SPDX-License-Identifier: Apache-2.0
#include "base/strings.h"
#include "codec/json.h"
#include "registry/server.h"
#include "registry/server/route.h"
#include "registry/server/storage.h"
#include "registry/test_registry.h"

#include <gtest/gtest.h>

namespace berth::registry {

namespace {

struct Answer {
    unsigned status;
    http::Headers headers;
    std::string body;

    std::string code() const {
        json::Value document = json::parse(body).value();
        return std::string(json::find_string(document.at("errors").at(0), "code"));
    }
};

Answer ask(http::Client& client, const http::ClientRequest& request) {
    auto response = client.request(request);
    EXPECT_TRUE(response.ok()) << response.error().message();
    std::string body = response->read_body().value();
    return {response->status, response->headers, body};
}

Answer get(http::Client& client, const std::string& target) {
    return ask(client, {.target = target});
}

std::string digest_of(std::string_view bytes) {
    return oci::Digest::of(bytes).to_string();
}

} // namespace

TEST(RepositoryName, FollowsTheSpecification) {
    for (const char* good : {"a", "library/ubuntu", "a.b_c__d-e---f/g", "0", "a/manifests/b"}) {
        EXPECT_TRUE(is_repository_name(good)) << good;
    }
    for (const char* bad :
         {"",
          "A",
          "/a",
          "a/",
          "a//b",
          "..",
          "a/../b",
          "_layout",
          "a/_layout",
          "a___b",
          "a..b",
          "a._b",
          "-a",
          "a-",
          "a b",
          "a%2fb"}) {
        EXPECT_FALSE(is_repository_name(bad)) << bad;
    }
    EXPECT_FALSE(is_repository_name(std::string(256, 'a')));
}

TEST(RegistryServer, TakesABlobInOneRequest) {
    TestRegistry registry;
    http::Client client = registry.client();
    std::string target = "/v2/a/b/blobs/uploads/?digest=" + digest_of("hello");
    Answer created = ask(client, {.method = "POST", .target = target, .body = "hello"});
    EXPECT_EQ(created.status, 201U);
    std::string location(created.headers.get("Location"));
    EXPECT_EQ(location, "/v2/a/b/blobs/" + digest_of("hello"));
    Answer blob = get(client, location);
    EXPECT_EQ(blob.status, 200U);
    EXPECT_EQ(blob.body, "hello");
    EXPECT_EQ(blob.headers.get("Docker-Content-Digest"), digest_of("hello"));
    Answer head = ask(client, {.method = "HEAD", .target = location});
    EXPECT_EQ(head.status, 200U);
    EXPECT_EQ(head.headers.get("Content-Length"), "5");
    EXPECT_EQ(get(client, "/v2/other/blobs/" + digest_of("hello")).code(), "BLOB_UNKNOWN");
}

TEST(RegistryServer, TakesABlobInPieces) {
    TestRegistry registry;
    http::Client client = registry.client();
    Answer begun = ask(client, {.method = "POST", .target = "/v2/a/blobs/uploads/"});
    ASSERT_EQ(begun.status, 202U);
    std::string location(begun.headers.get("Location"));
    auto piece = [&](const std::string& range, const std::string& bytes) {
        return ask(
            client,
            {.method = "PATCH",
             .target = location,
             .headers = {{"Content-Range", range}},
             .body = bytes});
    };
    Answer first = piece("0-4", "hello");
    EXPECT_EQ(first.status, 202U);
    EXPECT_EQ(first.headers.get("Range"), "0-4");
    Answer gap = piece("7-9", "xyz");
    EXPECT_EQ(gap.status, 416U);
    EXPECT_EQ(gap.headers.get("Range"), "0-4");
    EXPECT_EQ(get(client, location).status, 204U);
    EXPECT_EQ(piece("5-10", " world").status, 202U);
    Answer done =
        ask(client,
            {.method = "PUT",
             .target = location + "?digest=" + digest_of("hello world!"),
             .body = "!"});
    EXPECT_EQ(done.status, 201U);
    EXPECT_EQ(get(client, std::string(done.headers.get("Location"))).body, "hello world!");
    EXPECT_EQ(get(client, location).code(), "BLOB_UPLOAD_UNKNOWN");
}

TEST(RegistryServer, RefusesABlobWithAnotherDigest) {
    TestRegistry registry;
    http::Client client = registry.client();
    std::string target = "/v2/a/blobs/uploads/?digest=" + digest_of("something");
    EXPECT_EQ(
        ask(client, {.method = "POST", .target = target, .body = "else"}).code(), "DIGEST_INVALID");
    EXPECT_EQ(get(client, "/v2/a/blobs/" + digest_of("something")).status, 404U);
    EXPECT_EQ(get(client, "/v2/a/blobs/sha256:zz").code(), "DIGEST_INVALID");
    EXPECT_TRUE(list_directory(registry.root() + "/registry/repositories/a/_uploads")->empty());
}

TEST(RegistryServer, CancelsAnUpload) {
    TestRegistry registry;
    http::Client client = registry.client();
    Answer begun = ask(client, {.method = "POST", .target = "/v2/a/blobs/uploads/"});
    std::string location(begun.headers.get("Location"));
    EXPECT_EQ(ask(client, {.method = "DELETE", .target = location}).status, 204U);
    EXPECT_EQ(get(client, location).status, 404U);
    EXPECT_TRUE(list_directory(registry.root() + "/registry/repositories/a/_uploads")->empty());
}

TEST(RegistryServer, SendsRangesOfABlob) {
    TestRegistry registry;
    http::Client client = registry.client();
    std::string digest = digest_of("0123456789");
    ask(client,
        {.method = "POST",
         .target = "/v2/a/blobs/uploads/?digest=" + digest,
         .body = "0123456789"});
    auto range = [&](const std::string& value) {
        return ask(client, {.target = "/v2/a/blobs/" + digest, .headers = {{"Range", value}}});
    };
    EXPECT_EQ(range("bytes=2-4").body, "234");
    EXPECT_EQ(range("bytes=7-").body, "789");
    EXPECT_EQ(range("bytes=-2").body, "89");
    Answer part = range("bytes=5-100");
    EXPECT_EQ(part.status, 206U);
    EXPECT_EQ(part.headers.get("Content-Range"), "bytes 5-9/10");
    EXPECT_EQ(range("bytes=10-").status, 416U);
    for (const char* malformed : {"bytes=", "bytes=4", "bytes=-", "bytes=x-3", "bytes=5-2"}) {
        EXPECT_EQ(range(malformed).status, 416U) << malformed;
    }
    EXPECT_EQ(range("bytes=8-99999999999999999999").body, "89");
    EXPECT_EQ(range("bytes=1-2,4-5").status, 200U);
    EXPECT_EQ(range("lines=1-2").status, 200U);
}

TEST(RegistryServer, MountsABlobOfAnotherRepository) {
    TestRegistry registry;
    http::Client client = registry.client();
    std::string digest = digest_of("shared");
    ask(client,
        {.method = "POST", .target = "/v2/a/blobs/uploads/?digest=" + digest, .body = "shared"});
    std::string mount = "/v2/b/blobs/uploads/?mount=" + digest + "&from=";
    EXPECT_EQ(ask(client, {.method = "POST", .target = mount + "a"}).status, 201U);
    EXPECT_EQ(get(client, "/v2/b/blobs/" + digest).body, "shared");
    EXPECT_EQ(ask(client, {.method = "POST", .target = mount + "nobody"}).status, 202U);
    EXPECT_EQ(ask(client, {.method = "DELETE", .target = "/v2/a/blobs/" + digest}).status, 202U);
    EXPECT_EQ(get(client, "/v2/b/blobs/" + digest).body, "shared");
    EXPECT_EQ(ask(client, {.method = "DELETE", .target = "/v2/b/blobs/" + digest}).status, 202U);
    EXPECT_TRUE(list_directory(registry.root() + "/registry/blobs/sha256")->empty());
}

TEST(RegistryServer, KeepsManifestsByTagAndDigest) {
    TestRegistry registry;
    http::Client client = registry.client();
    TestImage first({"one"});
    TestImage second({"two"});
    publish(registry.client(), first, "team/app", "v1");
    publish(registry.client(), second, "team/app", "v1");
    Answer tagged = get(client, "/v2/team/app/manifests/v1");
    EXPECT_EQ(tagged.body, second.manifest);
    EXPECT_EQ(tagged.headers.get("Content-Type"), oci::media_type::oci_manifest);
    std::string old = "/v2/team/app/manifests/" + digest_of(first.manifest);
    EXPECT_EQ(get(client, old).body, first.manifest);
    EXPECT_EQ(
        get(client, "/v2/team/app/tags/list").body, "{\"name\":\"team/app\",\"tags\":[\"v1\"]}\n");
    EXPECT_EQ(ask(client, {.method = "DELETE", .target = old}).status, 202U);
    EXPECT_EQ(get(client, old).code(), "MANIFEST_UNKNOWN");
    EXPECT_EQ(
        ask(client, {.method = "DELETE", .target = "/v2/team/app/manifests/v1"}).status, 202U);
    EXPECT_EQ(get(client, "/v2/team/app/manifests/v1").status, 404U);
    EXPECT_EQ(get(client, "/v2/team/app/manifests/" + digest_of(second.manifest)).status, 200U);
}

TEST(RegistryServer, ChecksManifests) {
    TestRegistry registry;
    http::Client client = registry.client();
    TestImage image({"x"});
    std::string type(oci::media_type::oci_manifest);
    auto send = [&](const std::string& reference, const std::string& body, const std::string& as) {
        return ask(
            client,
            {.method = "PUT",
             .target = "/v2/a/manifests/" + reference,
             .headers = {{"Content-Type", as}},
             .body = body});
    };
    EXPECT_EQ(send("v1", image.manifest, type).code(), "MANIFEST_BLOB_UNKNOWN");
    publish(registry.client(), image, "a", "v1");
    EXPECT_EQ(send("v1", "{", type).code(), "MANIFEST_INVALID");
    EXPECT_EQ(
        send("v1", image.manifest, std::string(oci::media_type::oci_index)).code(),
        "MANIFEST_INVALID");
    EXPECT_EQ(send(digest_of("other"), image.manifest, type).code(), "DIGEST_INVALID");
    EXPECT_EQ(send("-bad", image.manifest, type).code(), "TAG_INVALID");
    Answer large = send("v1", std::string(5U << 20, ' '), type);
    EXPECT_EQ(large.status, 413U);
}

TEST(RegistryServer, PagesTagsAndNames) {
    TestRegistry registry;
    http::Client client = registry.client();
    TestImage image({"x"});
    for (const char* tag : {"a", "b", "c"}) {
        publish(registry.client(), image, "repo", tag);
    }
    publish(registry.client(), image, "repo/below", "x");
    Answer page = get(client, "/v2/repo/tags/list?n=2");
    EXPECT_EQ(page.body, "{\"name\":\"repo\",\"tags\":[\"a\",\"b\"]}\n");
    EXPECT_EQ(page.headers.get("Link"), "</v2/repo/tags/list?last=b&n=2>; rel=\"next\"");
    Answer last = get(client, "/v2/repo/tags/list?n=2&last=b");
    EXPECT_EQ(last.body, "{\"name\":\"repo\",\"tags\":[\"c\"]}\n");
    EXPECT_FALSE(last.headers.contains("Link"));
    EXPECT_EQ(get(client, "/v2/repo/tags/list?n=x").code(), "PAGINATION_NUMBER_INVALID");
    EXPECT_EQ(get(client, "/v2/_catalog").body, "{\"repositories\":[\"repo\",\"repo/below\"]}\n");
    EXPECT_EQ(get(client, "/v2/nobody/tags/list").code(), "NAME_UNKNOWN");
}

TEST(RegistryServer, ListsReferrers) {
    TestRegistry registry;
    http::Client client = registry.client();
    TestImage image({"x"});
    publish(registry.client(), image, "a", "v1");
    oci::Manifest signature =
        oci::parse_manifest(image.manifest).value().index() == 0
            ? std::get<oci::Manifest>(oci::parse_manifest(image.manifest).value())
            : oci::Manifest{};
    signature.artifact_type = "application/example.signature";
    signature.subject = TestImage::describe(oci::media_type::oci_manifest, image.manifest);
    std::string bytes = signature.serialize();
    Answer stored =
        ask(client,
            {.method = "PUT",
             .target = "/v2/a/manifests/" + digest_of(bytes),
             .headers = {{"Content-Type", std::string(oci::media_type::oci_manifest)}},
             .body = bytes});
    EXPECT_EQ(stored.status, 201U);
    EXPECT_EQ(stored.headers.get("OCI-Subject"), digest_of(image.manifest));
    std::string target = "/v2/a/referrers/" + digest_of(image.manifest);
    Answer all = get(client, target);
    EXPECT_EQ(all.headers.get("Content-Type"), oci::media_type::oci_index);
    auto index = json::decode_text<oci::Index>(all.body);
    ASSERT_EQ(index->manifests.size(), 1U);
    EXPECT_EQ(index->manifests[0].digest.to_string(), digest_of(bytes));
    EXPECT_EQ(index->manifests[0].artifact_type, "application/example.signature");
    Answer none = get(client, target + "?artifactType=other");
    EXPECT_EQ(none.headers.get("OCI-Filters-Applied"), "artifactType");
    EXPECT_TRUE(json::decode_text<oci::Index>(none.body)->manifests.empty());
    EXPECT_EQ(get(client, "/v2/nobody/referrers/" + digest_of("x")).status, 200U);
}

TEST(RegistryServer, RefusesNamesThatLeaveItsTree) {
    TestRegistry registry;
    http::Client client = registry.client();
    for (const char* target :
         {"/v2/../../etc/manifests/x",
          "/v2/%2e%2e/%2e%2e/etc/blobs/uploads/",
          "/v2/a/../b/tags/list",
          "/v2/_layout/tags/list",
          "/v2/A/tags/list"}) {
        EXPECT_EQ(get(client, target).code(), "NAME_INVALID") << target;
    }
    EXPECT_EQ(get(client, "/v2/a/blobs/..%2f..%2fx").status, 404U);
    EXPECT_EQ(get(client, "/v2/a/manifests/..%2f..%2fx").status, 404U);
}

TEST(RegistryServer, SweepsWhatAKilledProcessLeft) {
    TestRegistry registry;
    publish(registry.client(), TestImage({"x"}), "a", "v1");
    std::string root = registry.root() + "/registry";
    ASSERT_TRUE(replace_file(root + "/tmp/dead", "half", 0600).ok());
    ASSERT_TRUE(replace_file(root + "/blobs/sha256/unlinked", "lost", 0600).ok());
    std::size_t before = list_directory(root + "/blobs/sha256")->size();
    registry.reopen();
    EXPECT_TRUE(list_directory(root + "/tmp")->empty());
    EXPECT_EQ(list_directory(root + "/blobs/sha256")->size(), before - 1);
}

TEST(RegistryServer, IsTheOnlyOneOnItsRoot) {
    TestRegistry registry;
    auto second = Server::open(registry.root() + "/registry");
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().kind(), ErrorKind::Conflict);
}

} // namespace berth::registry
