// SPDX-License-Identifier: Apache-2.0
// Uploads that are cut off, limited in size or forgotten.
#include "registry/client.h"
#include "registry/stored_upload.h"
#include "registry/test_registry.h"

#include <gtest/gtest.h>

#include <mutex>

namespace berth::registry {

namespace {

// A registry with one upload, whose rules a test sets.
class UploadServer {
  public:
    std::size_t break_after = 0;                // of a PUT's bytes, once
    std::size_t largest = std::size_t{1} << 30; // request body
    bool forgets = false;                       // uploads that broke off
    bool break_before = false;                  // any of a PUT's bytes arrives, once
    std::string retry_after;
    std::vector<std::string> log;
    std::string received;
    bool complete = false;

    std::string host() const { return server_.host(); }

  private:
    void handle(http::Request& request, http::Body& body, http::ResponseWriter& out) {
        std::lock_guard lock(mutex_);
        if (request.path == "/v2/") {
            (void)out.respond(200, {}, "");
            return;
        }
        log.push_back(request.method);
        if (request.method == "HEAD") {
            (void)out.respond(complete ? 200 : 404, {}, "");
        } else if (request.method == "POST") {
            received.clear();
            (void)out.respond(202, {{"Location", "/upload?state=1"}}, "");
        } else if (request.method == "GET") {
            http::Headers headers{{"Location", "/upload?state=2"}};
            std::size_t last = received.empty() ? 0 : received.size() - 1; // as docker-registry
            headers.add("Range", "0-" + std::to_string(last));
            (void)out.respond(forgets ? 404 : 204, headers, "");
        } else if (request.method == "DELETE") {
            (void)out.respond(204, {}, "");
        } else {
            take(request, body, out);
        }
    }

    void take(http::Request& request, http::Body& body, http::ResponseWriter& out) {
        body.set_limit(http::Body::unlimited);
        if (body.length().value_or(0) > largest) {
            (void)out.respond(413, {}, "");
            return;
        }
        if (break_before) {
            break_before = false;
            (void)out.respond(503, {{"Retry-After", retry_after}}, "");
            return;
        }
        if (break_after > 0) {
            std::string part(break_after, 0);
            std::size_t done = 0;
            while (done < part.size()) {
                done += body.read(std::span(part).subspan(done)).value();
            }
            received += part;
            break_after = 0;
            (void)out.respond(502, {}, "");
            return;
        }
        std::string range(request.headers.get("Content-Range"));
        if (!range.empty()) {
            EXPECT_EQ(range.substr(0, range.find('-')), std::to_string(received.size()));
        }
        received += read_to_end(body, std::size_t{1} << 30).value();
        complete = request.method == "PUT";
        (void)out.respond(complete ? 201 : 202, {{"Location", "/upload?state=3"}}, "");
    }

    std::mutex mutex_;
    LoopbackServer server_{
        [this](
            std::stop_token, http::Request& request, http::Body& body, http::ResponseWriter& out) {
            handle(request, body, out);
        }};
};

Result<void> upload(UploadServer& server, const std::string& bytes) {
    Client client(server.host(), "team/app", Action::Push, {});
    auto open = [&](std::uint64_t offset) -> Result<std::unique_ptr<ByteSource>> {
        return std::unique_ptr<ByteSource>(std::make_unique<StringSource>(bytes.substr(offset)));
    };
    std::uint64_t sent = 0;
    auto outcome = client.upload_blob(
        {}, TestImage::describe("a/b", bytes), open, [&](std::uint64_t count) { sent = count; });
    EXPECT_TRUE(!outcome.ok() || sent == bytes.size());
    return outcome;
}

std::string some_bytes() {
    std::string bytes;
    while (bytes.size() < (20U << 20)) {
        bytes += std::to_string(bytes.size()) + " ";
    }
    return bytes;
}

using Log = std::vector<std::string>;

} // namespace

TEST(Upload, GoesOnWhereItBrokeOff) {
    UploadServer server;
    server.break_after = 3'000'000;
    std::string bytes = some_bytes();
    auto outcome = upload(server, bytes);
    ASSERT_TRUE(outcome.ok()) << outcome.error().message();
    EXPECT_TRUE(server.received == bytes);
    EXPECT_EQ(server.log, (Log{"POST", "PUT", "HEAD", "GET", "PATCH", "PUT"}));
}

TEST(Upload, StartsAnewWhereNothingArrived) {
    UploadServer server;
    server.break_before = true;
    std::string bytes = "some bytes";
    auto outcome = upload(server, bytes);
    ASSERT_TRUE(outcome.ok()) << outcome.error().message();
    EXPECT_TRUE(server.received == bytes);
    EXPECT_EQ(server.log, (Log{"POST", "PUT", "HEAD", "GET", "DELETE", "POST", "PUT"}));
}

TEST(Upload, WaitsAsLongAsTheRegistryAsks) {
    UploadServer server;
    server.break_before = true;
    server.retry_after = "3600";
    auto outcome = upload(server, "some bytes");
    ASSERT_FALSE(outcome.ok());
    EXPECT_NE(
        outcome.error().message().find("(the registry asks to wait 3600 s)"), std::string::npos)
        << outcome.error().message();
    EXPECT_EQ(server.log, (Log{"POST", "PUT"}));
}

TEST(Upload, StartsAnewWhereTheRegistryForgot) {
    UploadServer server;
    server.break_after = 3'000'000;
    server.forgets = true;
    std::string bytes = some_bytes();
    auto outcome = upload(server, bytes);
    ASSERT_TRUE(outcome.ok()) << outcome.error().message();
    EXPECT_TRUE(server.received == bytes);
    EXPECT_EQ(server.log, (Log{"POST", "PUT", "HEAD", "GET", "POST", "PUT"}));
}

TEST(Upload, SendsChunksWhereOneRequestIsTooLarge) {
    UploadServer server;
    server.largest = 8U << 20;
    std::string bytes = some_bytes();
    auto outcome = upload(server, bytes);
    ASSERT_TRUE(outcome.ok()) << outcome.error().message();
    EXPECT_TRUE(server.received == bytes);
    EXPECT_EQ(server.log, (Log{"POST", "PUT", "DELETE", "POST", "PATCH", "PATCH", "PATCH", "PUT"}));
}

TEST(Upload, DoesNotRepeatWhatIsRefused) {
    UploadServer server;
    server.largest = 100;
    auto outcome = upload(server, some_bytes());
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(server.log, (Log{"POST", "PUT", "DELETE", "POST", "PATCH"}));
}

TEST(StoredUpload, GoesOnWhereItBrokeOff) {
    UploadServer server;
    server.break_after = 3'000'000;
    const std::string bytes = some_bytes();
    TestStore store;
    store::Lease lease = store.get().leases().create();
    store.get().blobs().put(lease, bytes).value();
    Client client(server.host(), "team/app", Action::Push, {});
    auto outcome = upload_stored_blob(
        {}, client, store.get().blobs(), TestImage::describe("a/b", bytes), nullptr);
    ASSERT_TRUE(outcome.ok()) << outcome.error().message();
    EXPECT_TRUE(server.received == bytes);
}

TEST(StoredUpload, SaysThatTheBlobIsDamagedWhereTheRegistryIsRight) {
    TestRegistry registry;
    TestStore store;
    store::Lease lease = store.get().leases().create();
    const std::string bytes = "some bytes";
    const oci::Descriptor blob = TestImage::describe("a/b", bytes);
    store.get().blobs().put(lease, bytes).value();
    Client client(registry.host(), "team/app", Action::Push, {});
    const std::string path = store.root() + "/data/blobs/sha256/" + std::string(blob.digest.hex());
    ASSERT_TRUE(replace_file(path, "other bits").ok());
    auto outcome = upload_stored_blob({}, client, store.get().blobs(), blob, nullptr);
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().kind(), ErrorKind::DataLoss) << outcome.error().message();
    EXPECT_NE(outcome.error().message().find("is damaged on the disk"), std::string::npos);
    ASSERT_TRUE(replace_file(path, bytes).ok());
    outcome = upload_stored_blob({}, client, store.get().blobs(), blob, nullptr);
    EXPECT_TRUE(outcome.ok()) << outcome.error().message();
}

} // namespace berth::registry
