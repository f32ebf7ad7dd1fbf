// SPDX-License-Identifier: Apache-2.0
// The storage without a server: what is reserved, collected, resumed and limited.
#include "registry/server/test_storage.h"

#include <atomic>
#include <thread>

namespace berth::registry {

TEST_F(StorageTest, CountsEachBlobOnce) {
    open();
    push("a", "shared");
    push("b", "shared");
    push("a", "shared");
    EXPECT_EQ(storage_->usage().used(), 6U);
    EXPECT_EQ(storage_->find_repository("a")->usage.used(), 6U);
    EXPECT_EQ(storage_->find_repository("b")->usage.used(), 6U);
    ASSERT_TRUE(storage_->remove_blob("a", oci::Digest::of("shared")).ok());
    EXPECT_EQ(storage_->usage().used(), 6U);
    ASSERT_TRUE(storage_->remove_blob("b", oci::Digest::of("shared")).ok());
    EXPECT_EQ(storage_->usage().used(), 0U);
    EXPECT_EQ(storage_->find_repository("a")->usage.used(), 0U);
}

TEST_F(StorageTest, CountsTheSameAfterARestart) {
    open();
    push("a", "one");
    push("b", "three");
    open();
    EXPECT_EQ(storage_->usage().used(), 8U);
    EXPECT_TRUE(storage_->tags("a", {}, 1).ok()); // reads the repository
    EXPECT_EQ(storage_->find_repository("a")->usage.used(), 3U);
}

TEST_F(StorageTest, GivesBackWhatAnUploadReserved) {
    open({.total_bytes = 100});
    auto upload = storage_->begin_upload("a", "sha256").value();
    StringSource first(std::string(80, 'x'));
    ASSERT_TRUE(upload->append(first).ok());
    EXPECT_EQ(storage_->usage().used(), 80U);
    StringSource more(std::string(30, 'x'));
    auto refused = upload->append(more);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::Forbidden);
    storage_->cancel_upload(*upload);
    upload.reset();
    EXPECT_EQ(storage_->usage().used(), 0U);
}

TEST_F(StorageTest, CountsWhatUploadsHaveWhetherSomebodyHasThemOpenOrNot) {
    open({.total_bytes = 100, .open_uploads = 1});
    std::vector<std::string> ids;
    for (int i = 0; i < 3; ++i) { // each closes the one before it
        auto upload = storage_->begin_upload("a", "sha256").value();
        StringSource some(std::string(30, 'x'));
        ASSERT_TRUE(upload->append(some).ok());
        ids.push_back(upload->id);
    }
    EXPECT_EQ(storage_->usage().used(), 90U);
    open({.total_bytes = 100, .open_uploads = 1});
    EXPECT_EQ(storage_->usage().used(), 90U);
    auto upload = storage_->find_upload("a", ids[0]).value();
    StringSource more(std::string(11, 'x'));
    EXPECT_EQ(upload->append(more).error().kind(), ErrorKind::Forbidden);
    EXPECT_EQ(storage_->find_repository("a")->usage.used(), 90U);
    storage_->cancel_upload(*upload);
    EXPECT_EQ(storage_->usage().used(), 60U);
    EXPECT_EQ(storage_->find_repository("a")->usage.used(), 60U);
}

TEST_F(StorageTest, RemovesNoManifestAsABlob) {
    open();
    oci::Digest manifest = put("a", R"({"n":1})", "v1");
    auto removed = storage_->remove_blob("a", manifest);
    ASSERT_FALSE(removed.ok());
    EXPECT_EQ(removed.error().kind(), ErrorKind::NotFound);
    open();
    EXPECT_EQ(*storage_->manifest("a", "v1")->bytes, R"({"n":1})");
}

// With the thread checker: the list of repositories was walked without its lock.
TEST_F(StorageTest, CollectsAndChecksWhileRepositoriesAreMade) {
    open();
    std::atomic<bool> done = false;
    std::jthread maker([&] {
        for (int i = 0; i < 100; ++i) {
            EXPECT_TRUE(storage_->begin_upload("r" + std::to_string(i), "sha256").ok());
        }
        done = true;
    });
    while (!done) {
        EXPECT_TRUE(storage_->collect({}).ok());
        auto report = storage_->check({});
        ASSERT_TRUE(report.ok());
        EXPECT_TRUE(report->problems.empty());
    }
}

TEST_F(StorageTest, GoesOnWithUploadsOfAnEarlierProcess) {
    open();
    std::string id;
    {
        auto upload = storage_->begin_upload("a", "sha256").value();
        StringSource half("hello ");
        ASSERT_TRUE(upload->append(half).ok());
        id = upload->id;
    }
    open();
    EXPECT_EQ(storage_->upload_count(), 1U);
    EXPECT_FALSE(storage_->find_upload("b", id).ok());
    auto upload = storage_->find_upload("a", id);
    ASSERT_TRUE(upload.ok());
    EXPECT_EQ((*upload)->size(), 6U);
    StringSource rest("world");
    ASSERT_TRUE((*upload)->append(rest).ok());
    EXPECT_TRUE(storage_->finish_upload(**upload, oci::Digest::of("hello world")).ok());
    EXPECT_TRUE(has("a", oci::Digest::of("hello world")));
    EXPECT_EQ(storage_->upload_count(), 0U);
}

TEST_F(StorageTest, FindsNoUploadByAPath) {
    open();
    push("a", "x");
    for (const char* id :
         {"", "..", "../_layout/index.json", "0123", "0123456789abcdef0123456789ABCDEF"}) {
        auto found = storage_->find_upload("a", id);
        ASSERT_FALSE(found.ok()) << id;
        EXPECT_EQ(found.error().kind(), ErrorKind::NotFound);
    }
}

TEST_F(StorageTest, CollectsWhatIsOldAndUnreferenced) {
    open();
    oci::Digest old = push("a", "old");
    oci::Digest young = push("a", "young");
    make_old(old);
    auto report = storage_->collect({});
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->blobs, 1U);
    EXPECT_EQ(report->bytes, 3U);
    EXPECT_FALSE(has("a", old));
    EXPECT_TRUE(has("a", young));
    EXPECT_EQ(storage_->usage().used(), 5U);
}

TEST_F(StorageTest, LeavesARepositoryWithADamagedManifestAlone) {
    open();
    oci::Digest config = push("a", "{}");
    NewManifest manifest;
    manifest.bytes = R"({"schemaVersion":2,"config":{"mediaType":"x","digest":")" +
                     config.to_string() + R"(","size":2},"layers":[]})";
    manifest.descriptor.media_type = oci::media_type::oci_manifest;
    manifest.descriptor.digest = oci::Digest::of(manifest.bytes);
    manifest.references = {config};
    auto missing = storage_->put_manifest("a", manifest);
    ASSERT_TRUE(missing.ok());
    EXPECT_FALSE(missing->has_value());
    oci::Digest orphan = push("a", "orphan");
    make_old(orphan);
    std::string path = root() + "/blobs/sha256/" + std::string(manifest.descriptor.digest.hex());
    std::string damaged = manifest.bytes;
    damaged[0] = '[';
    ASSERT_TRUE(write_existing(path, damaged).ok());
    open(); // nothing in memory
    auto report = storage_->collect({});
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->skipped, 1U);
    EXPECT_TRUE(has("a", orphan));
}

TEST_F(StorageTest, TellsWhichReferenceIsMissing) {
    open();
    NewManifest manifest;
    manifest.bytes = "{}";
    manifest.descriptor.digest = oci::Digest::of(manifest.bytes);
    manifest.references = {oci::Digest::of("absent")};
    auto missing = storage_->put_manifest("a", manifest);
    ASSERT_TRUE(missing.ok());
    EXPECT_EQ(**missing, oci::Digest::of("absent"));
}

TEST_F(StorageTest, ClosesTheUploadThatWasIdleLongest) {
    open({.open_uploads = 2});
    std::vector<std::string> ids;
    for (int i = 0; i < 5; ++i) {
        ids.push_back(storage_->begin_upload("a", "sha256").value()->id);
    }
    for (const std::string& id : ids) {
        EXPECT_TRUE(storage_->find_upload("a", id).ok());
    }
    auto first = storage_->find_upload("a", ids[0]).value();
    auto second = storage_->find_upload("a", ids[1]).value();
    auto third = storage_->find_upload("a", ids[2]);
    ASSERT_FALSE(third.ok());
    EXPECT_EQ(third.error().kind(), ErrorKind::ResourceExhausted);
}

} // namespace berth::registry
