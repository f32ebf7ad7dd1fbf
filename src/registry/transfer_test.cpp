// SPDX-License-Identifier: Apache-2.0
// Pull and push between stores and our own registry.
#include "registry/puller.h"
#include "registry/pusher.h"
#include "registry/test_registry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

namespace berth::registry {

namespace {

oci::Reference reference(const std::string& text) {
    return oci::Reference::parse_normalized(text).value();
}

// Lines as "id: status".
struct Recorder {
    std::vector<std::string> lines;
    json::Value aux;

    ProgressCallback callback() {
        return [this](const Progress& progress) {
            if (progress.status != "Downloading" && progress.status != "Extracting" &&
                progress.status != "Pushing") {
                std::string id = progress.id.empty() ? "" : progress.id + ": ";
                lines.push_back(id + progress.status);
            }
            if (!progress.aux.is_null()) {
                aux = progress.aux;
            }
        };
    }

    std::size_t count(const std::string& ending) const {
        return static_cast<std::size_t>(std::ranges::count_if(
            lines, [&](const std::string& line) { return line.ends_with(ending); }));
    }
};

} // namespace

TEST(Pull, BringsAnImageIntoTheStore) {
    TestRegistry registry;
    TestStore store;
    TestImage image({"base", std::string(2'000'000, 'x'), "top", "more"});
    publish(registry.client(), image, "team/app", "v1");
    Recorder recorder;
    auto name = reference(registry.host() + "/team/app:v1");
    auto pulled = pull({}, store.get(), name, {}, recorder.callback());
    ASSERT_TRUE(pulled.ok()) << pulled.error().message();
    EXPECT_TRUE(pulled->newer);
    EXPECT_EQ(pulled->digest, oci::Digest::of(image.manifest));
    EXPECT_EQ(pulled->id, oci::Digest::of(image.config));
    EXPECT_EQ(recorder.lines.front(), "v1: Pulling from team/app");
    EXPECT_EQ(recorder.count("Pulling fs layer"), 4U);
    EXPECT_EQ(recorder.count("Waiting"), 1U);
    EXPECT_EQ(recorder.count("Download complete"), 4U);
    EXPECT_EQ(recorder.count("Pull complete"), 4U);
    EXPECT_EQ(recorder.lines.back(), "Status: Downloaded newer image for " + name.familiar());
    auto stored = store.get().images().get(name.familiar());
    ASSERT_TRUE(stored.ok()) << stored.error().message();
    EXPECT_EQ(stored->repo_digests.size(), 1U);
}

TEST(Pull, DownloadsNothingTwice) {
    TestRegistry registry;
    TestStore store;
    publish(registry.client(), TestImage({"base", "one"}), "app", "v1");
    publish(registry.client(), TestImage({"base", "two"}), "app", "v2");
    auto first = reference(registry.host() + "/app:v1");
    ASSERT_TRUE(pull({}, store.get(), first, {}, {}).ok());
    Recorder again;
    auto same = pull({}, store.get(), first, {}, again.callback());
    ASSERT_TRUE(same.ok());
    EXPECT_FALSE(same->newer);
    EXPECT_EQ(again.lines.back(), "Status: Image is up to date for " + first.familiar());
    Recorder other;
    ASSERT_TRUE(
        pull({}, store.get(), reference(registry.host() + "/app:v2"), {}, other.callback()).ok());
    EXPECT_EQ(other.count("Already exists"), 1U);
    EXPECT_EQ(other.count("Pull complete"), 1U);
}

TEST(Pull, AnotherNameForWhatIsHereIsNew) {
    TestRegistry registry;
    TestStore store;
    const TestImage image({"base"});
    publish(registry.client(), image, "app", "v1");
    publish(registry.client(), image, "app", "v2");
    ASSERT_TRUE(pull({}, store.get(), reference(registry.host() + "/app:v1"), {}, {}).ok());
    Recorder recorder;
    const auto name = reference(registry.host() + "/app:v2");
    EXPECT_TRUE(pull({}, store.get(), name, {}, recorder.callback())->newer);
    EXPECT_EQ(recorder.lines.back(), "Status: Downloaded newer image for " + name.familiar());
    EXPECT_FALSE(pull({}, store.get(), name, {}, {})->newer);
}

TEST(Pull, FindsAllTags) {
    TestRegistry registry;
    const TestImage image({"base"});
    for (const char* tag : {"v2", "latest", "v1"}) {
        publish(registry.client(), image, "app", tag);
    }
    Client client(registry.host(), "app", Action::Pull, {});
    EXPECT_EQ(client.tags({}).value(), (std::vector<std::string>{"latest", "v1", "v2"}));
    Client none(registry.host(), "none", Action::Pull, {});
    EXPECT_EQ(none.tags({}).error().kind(), ErrorKind::NotFound);
}

TEST(Pull, ChoosesThePlatformFromAnIndex) {
    TestRegistry registry;
    TestStore store;
    TestImage ours({"ours"});
    TestImage other({"other"});
    publish(registry.client(), ours, "app", "ours");
    publish(registry.client(), other, "app", "other");
    oci::Index index;
    index.media_type = oci::media_type::oci_index;
    for (const auto& [image, platform] :
         {std::pair{&other, oci::Platform{.architecture = "s390x", .os = "linux"}},
          std::pair{&ours, oci::Platform::host()}}) {
        auto entry = TestImage::describe(oci::media_type::oci_manifest, image->manifest);
        entry.platform = platform;
        index.manifests.push_back(entry);
    }
    std::string bytes = index.serialize();
    http::Client client = registry.client();
    ASSERT_EQ(
        put(client, "/v2/app/manifests/all", std::string(oci::media_type::oci_index), bytes), 201U);
    auto name = reference(registry.host() + "/app:all");
    auto pulled = pull({}, store.get(), name, {}, {});
    ASSERT_TRUE(pulled.ok()) << pulled.error().message();
    EXPECT_EQ(pulled->id, oci::Digest::of(ours.config));
    EXPECT_EQ(pulled->digest, oci::Digest::of(bytes));
    auto chosen = pull(
        {},
        store.get(),
        name,
        {.platform = oci::Platform{.architecture = "s390x", .os = "linux"}},
        {});
    ASSERT_TRUE(chosen.ok()) << chosen.error().message();
    EXPECT_EQ(chosen->id, oci::Digest::of(other.config));
}

TEST(Pull, FailsInDockersWords) {
    TestRegistry registry;
    TestStore store;
    publish(registry.client(), TestImage({"x"}), "app", "v1");
    auto missing = pull({}, store.get(), reference(registry.host() + "/app:v2"), {}, {});
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().kind(), ErrorKind::NotFound);
    EXPECT_EQ(
        missing.error().message(),
        "manifest for " + registry.host() +
            "/app:v2 not found: manifest unknown: manifest unknown");
    LoopbackServer denying(
        [](std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& out) {
            [[maybe_unused]] auto sent = out.respond(request.path == "/v2/" ? 200 : 403, {}, "");
        });
    auto denied = pull({}, store.get(), reference(denying.host() + "/app"), {}, {});
    EXPECT_EQ(
        denied.error().message(),
        "pull access denied for " + denying.host() +
            "/app, repository does not exist or may require 'docker login': denied: requested "
            "access to the resource is denied");
}

TEST(Pull, RefusesALayerThatWasTamperedWith) {
    TestRegistry registry;
    TestStore store;
    TestImage image({"good", "content"});
    publish(registry.client(), image, "app", "v1");
    // The registry's own disk is changed behind its back.
    std::string digest(oci::Digest::of(image.layers[1]).hex());
    std::string bad = image.layers[1];
    bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 0x55);
    std::string path =
        registry.root() + "/registry/repositories/app/_layout/blobs/sha256/" + digest;
    ASSERT_TRUE(replace_file(path, bad).ok());
    auto name = reference(registry.host() + "/app:v1");
    auto pulled = pull({}, store.get(), name, {}, {});
    ASSERT_FALSE(pulled.ok());
    EXPECT_EQ(pulled.error().kind(), ErrorKind::DataLoss) << pulled.error().message();
    EXPECT_FALSE(store.get().images().get(name.familiar()).ok());
    EXPECT_FALSE(store.get().blobs().contains(oci::Digest::of(image.layers[1])));
}

TEST(Pull, StopsAndGoesOnLater) {
    TestRegistry registry;
    TestStore store;
    TestImage image({std::string(1'000'000, 'a'), "b"});
    publish(registry.client(), image, "app", "v1");
    auto name = reference(registry.host() + "/app:v1");
    std::stop_source stop;
    auto stopped = pull(stop.get_token(), store.get(), name, {}, [&](const Progress& progress) {
        if (progress.status == "Pulling fs layer") {
            stop.request_stop();
        }
    });
    ASSERT_FALSE(stopped.ok());
    EXPECT_EQ(stopped.error().kind(), ErrorKind::Cancelled);
    EXPECT_TRUE(pull({}, store.get(), name, {}, {}).ok());
}

TEST(Pull, TakesTheBytesFromAMirrorAndTheTagFromTheRegistry) {
    TestRegistry registry;
    TestRegistry mirror;
    TestStore store;
    TestImage image({"base", "top"});
    publish(registry.client(), image, "team/app", "v1");
    publish(mirror.client(), image, "team/app", "other"); // the same bytes under another tag
    TestImage older({"old"});
    publish(mirror.client(), older, "team/app", "v1");
    std::atomic<int> from_registry = 0;
    LoopbackServer front([&, inner = registry.handler()](
                             std::stop_token stop,
                             http::Request& request,
                             http::Body& body,
                             http::ResponseWriter& out) {
        from_registry += request.path.find("/blobs/") != std::string::npos ? 1 : 0;
        inner(stop, request, body, out);
    });
    std::string folder = store.root() + "/certs.d/" + front.host();
    ASSERT_TRUE(make_directories(folder).ok());
    std::string hosts = "server = \"http://" + front.host() + "\"\n[host.\"http://" +
                        mirror.host() + "\"]\ncapabilities = [\"pull\"]\n";
    ASSERT_TRUE(replace_file(folder + "/hosts.toml", hosts).ok());
    PullOptions options{.client = {.hosts = {.directories = {store.root() + "/certs.d"}}}};
    auto pulled =
        pull({}, store.get(), reference(front.host() + "/team/app:v1"), options, [](auto&) {});
    ASSERT_TRUE(pulled.ok()) << pulled.error().message();
    EXPECT_EQ(pulled->id, oci::Digest::of(image.config));
    EXPECT_EQ(from_registry, 0);
}

TEST(Pull, FallsBackToTheRegistryWhereTheMirrorHasNothing) {
    TestRegistry registry;
    TestRegistry mirror;
    TestStore store;
    TestImage image({"base"});
    publish(registry.client(), image, "team/app", "v1");
    std::string folder = store.root() + "/certs.d/" + registry.host();
    ASSERT_TRUE(make_directories(folder).ok());
    std::string hosts = "server = \"http://" + registry.host() + "\"\n[host.\"http://" +
                        mirror.host() + "\"]\n[host.\"http://127.0.0.1:1\"]\n";
    ASSERT_TRUE(replace_file(folder + "/hosts.toml", hosts).ok());
    PullOptions options{.client = {.hosts = {.directories = {store.root() + "/certs.d"}}}};
    auto name = reference(registry.host() + "/team/app:v1");
    auto pulled = pull({}, store.get(), name, options, [](auto&) {});
    ASSERT_TRUE(pulled.ok()) << pulled.error().message();
    EXPECT_EQ(pulled->id, oci::Digest::of(image.config));
}

TEST(Push, ReturnsWhatWasPulledBitForBit) {
    TestRegistry registry;
    TestStore store;
    TestImage image({"one", "two"});
    publish(registry.client(), image, "from/here", "v1");
    auto source = reference(registry.host() + "/from/here:v1");
    auto target = reference(registry.host() + "/to/there:v2");
    auto pulled = pull({}, store.get(), source, {}, {});
    ASSERT_TRUE(pulled.ok()) << pulled.error().message();
    ASSERT_TRUE(store.get().images().tag(pulled->id, target).ok());
    Recorder recorder;
    auto pushed = push({}, store.get(), target, {}, recorder.callback());
    ASSERT_TRUE(pushed.ok()) << pushed.error().message();
    EXPECT_EQ(pushed->digest, oci::Digest::of(image.manifest));
    EXPECT_EQ(
        recorder.lines.front(), "The push refers to repository [" + registry.host() + "/to/there]");
    EXPECT_EQ(recorder.count("Mounted from from/here"), 2U);
    EXPECT_EQ(
        json::serialize(recorder.aux),
        R"({"Tag":"v2","Digest":")" + pushed->digest.to_string() + R"(","Size":)" +
            std::to_string(image.manifest.size()) + "}");
    Recorder again;
    ASSERT_TRUE(push({}, store.get(), target, {}, again.callback()).ok());
    EXPECT_EQ(again.count("Layer already exists"), 2U);
}

TEST(Push, UploadsToARegistryThatHasNothing) {
    TestRegistry from;
    TestRegistry to;
    TestStore store;
    TestImage image({"one", std::string(3'000'000, 'y')});
    publish(from.client(), image, "app", "v1");
    auto source = reference(from.host() + "/app:v1");
    auto target = reference(to.host() + "/app:v1");
    auto pulled = pull({}, store.get(), source, {}, {});
    ASSERT_TRUE(store.get().images().tag(pulled->id, target).ok());
    Recorder recorder;
    auto pushed = push({}, store.get(), target, {}, recorder.callback());
    ASSERT_TRUE(pushed.ok()) << pushed.error().message();
    EXPECT_EQ(recorder.count("Preparing"), 2U);
    EXPECT_EQ(recorder.count(": Pushed"), 2U);
    TestStore other;
    auto back = pull({}, other.get(), target, {}, {});
    ASSERT_TRUE(back.ok()) << back.error().message();
    EXPECT_EQ(back->id, pulled->id);
}

TEST(Push, SaysWhatIsNotThere) {
    TestStore store;
    auto nothing = push({}, store.get(), reference("localhost:1/app:v1"), {}, {});
    ASSERT_FALSE(nothing.ok());
    EXPECT_EQ(
        nothing.error().message(), "An image does not exist locally with the tag: localhost:1/app");
}

} // namespace berth::registry
