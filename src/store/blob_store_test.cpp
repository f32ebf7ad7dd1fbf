// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "store/blob_store.h"

#include <gtest/gtest.h>

#include <csignal>
#include <functional>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::store {
namespace {

class BlobStoreTest : public ::testing::Test {
  protected:
    void SetUp() override { reopen(); }

    void reopen() { store_ = BlobStore::open(root()).value(); }

    const std::string& root() const { return directory_.path(); }

    std::size_t files_in(const std::string& name) const {
        return list_directory(root() + "/" + name).value().size();
    }

    Result<BlobInfo> ingest(std::string bytes, BlobOptions options = {}) {
        StringSource source(std::move(bytes));
        return store_->ingest(lease_, source, std::move(options));
    }

    // Runs in a child that kills itself, and waits for it.
    static void in_killed_process(const std::function<void()>& action) {
        pid_t child = fork();
        if (child == 0) {
            action();
            kill(getpid(), SIGKILL);
        }
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status));
    }

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    Leases leases_;
    Lease lease_ = leases_.create();
    std::unique_ptr<BlobStore> store_;
};

TEST_F(BlobStoreTest, GivesBackWhatItTook) {
    BlobInfo blob = ingest("some bytes").value();
    EXPECT_EQ(blob.digest, oci::Digest::of("some bytes"));
    EXPECT_EQ(blob.size, 10U);
    EXPECT_TRUE(store_->contains(blob.digest));
    EXPECT_EQ(store_->read(blob.digest).value(), "some bytes");
    EXPECT_EQ(store_->size(blob.digest).value(), 10U);
    EXPECT_EQ(store_->list().value().size(), 1U);
    EXPECT_EQ(files_in("tmp"), 0U);
    EXPECT_TRUE(leases_.holds({ContentKind::Blob, blob.digest}));
}

TEST_F(BlobStoreTest, RejectsBlobWhoseDigestDiffers) {
    auto wrong = ingest("evil", {.expected = oci::Digest::of("good")});
    ASSERT_FALSE(wrong.ok());
    EXPECT_EQ(wrong.error().kind(), ErrorKind::DataLoss);
    EXPECT_FALSE(store_->contains(oci::Digest::of("good")));
    EXPECT_FALSE(store_->contains(oci::Digest::of("evil")));
    EXPECT_EQ(files_in("tmp"), 0U);
}

TEST_F(BlobStoreTest, RejectsBlobOfAnotherSize) {
    EXPECT_EQ(ingest("12345", {.expected_size = 4}).error().kind(), ErrorKind::DataLoss);
    EXPECT_EQ(ingest("12345", {.expected_size = 6}).error().kind(), ErrorKind::DataLoss);
    EXPECT_TRUE(ingest("12345", {.expected_size = 5}).ok());
    EXPECT_EQ(files_in("tmp"), 0U);
}

TEST_F(BlobStoreTest, SaysWhichBlobIsNotThere) {
    oci::Digest absent = oci::Digest::of("absent");
    auto blob = store_->open_blob(absent);
    ASSERT_FALSE(blob.ok());
    EXPECT_EQ(blob.error().kind(), ErrorKind::NotFound);
    EXPECT_EQ(blob.error().message(), "blob " + absent.to_string() + " not found");
    EXPECT_EQ(store_->size(absent).error().kind(), ErrorKind::NotFound);
    EXPECT_TRUE(store_->remove(absent).ok());
}

TEST_F(BlobStoreTest, ReadsNoMoreThanTheLimit) {
    BlobInfo blob = ingest("0123456789").value();
    EXPECT_EQ(store_->read(blob.digest, 9).error().kind(), ErrorKind::ResourceExhausted);
}

TEST_F(BlobStoreTest, ContinuesADownloadThatBrokeOff) {
    oci::Digest whole = oci::Digest::of("first second");
    {
        BlobWriter writer = store_->resume(lease_, whole).value();
        ASSERT_TRUE(writer.write("first ").ok());
    }
    EXPECT_FALSE(store_->contains(whole));
    reopen();
    BlobWriter writer = store_->resume(lease_, whole).value();
    EXPECT_EQ(writer.offset(), 6U);
    ASSERT_TRUE(writer.write("second").ok());
    ASSERT_TRUE(writer.commit().ok());
    EXPECT_EQ(store_->read(whole).value(), "first second");
    EXPECT_EQ(files_in("blobs/partial"), 0U);
}

TEST_F(BlobStoreTest, KeepsBlobsOfSha512Beside) {
    const oci::Digest digest = oci::digest_of("sha512", "first second");
    {
        BlobWriter writer = store_->resume(lease_, digest).value();
        ASSERT_TRUE(writer.write("first ").ok());
    }
    reopen();
    BlobWriter writer = store_->resume(lease_, digest).value();
    EXPECT_EQ(writer.offset(), 6U);
    ASSERT_TRUE(writer.write("second").ok());
    EXPECT_EQ(writer.commit()->digest, digest);
    EXPECT_EQ(store_->read(digest).value(), "first second");
    EXPECT_EQ(store_->list()->size(), 1U);
    EXPECT_EQ(files_in("blobs/sha512"), 1U);
    EXPECT_FALSE(store_->contains(oci::Digest::of("first second")));
    EXPECT_EQ(ingest("evil", {.expected = digest}).error().kind(), ErrorKind::DataLoss);
    ASSERT_TRUE(store_->remove(digest).ok());
    EXPECT_EQ(files_in("blobs/sha512"), 0U);
    const oci::Digest other = oci::Digest::parse("sha384:" + std::string(96, '0')).value();
    EXPECT_EQ(store_->open_blob(other).error().kind(), ErrorKind::NotImplemented);
}

TEST_F(BlobStoreTest, DropsAPartialDownloadThatTurnsOutWrong) {
    oci::Digest whole = oci::Digest::of("good");
    BlobWriter writer = store_->resume(lease_, whole).value();
    ASSERT_TRUE(writer.write("bad!").ok());
    EXPECT_FALSE(writer.commit().ok());
    EXPECT_EQ(files_in("blobs/partial"), 0U);
    EXPECT_EQ(store_->resume(lease_, whole).value().offset(), 0U);
}

TEST_F(BlobStoreTest, LetsOneWriterResumeAtATime) {
    oci::Digest whole = oci::Digest::of("good");
    {
        BlobWriter first = store_->resume(lease_, whole).value();
        auto second = store_->resume(lease_, whole);
        ASSERT_FALSE(second.ok());
        EXPECT_EQ(second.error().kind(), ErrorKind::Unavailable);
    }
    EXPECT_TRUE(store_->resume(lease_, whole).ok());
}

TEST_F(BlobStoreTest, TeesASourceIntoABlob) {
    StringSource source("abcdef");
    BlobWriter writer = store_->writer(lease_).value();
    BlobTee tee(source, writer);
    std::string part(3, '\0');
    ASSERT_EQ(read_full(tee, part).value(), 3U);
    EXPECT_EQ(part, "abc");
    BlobInfo blob = tee.finish().value();
    EXPECT_EQ(store_->read(blob.digest).value(), "abcdef");
}

TEST_F(BlobStoreTest, SweepsWhatAKilledProcessLeft) {
    in_killed_process([&] {
        BlobWriter writer = store_->writer(lease_).value();
        (void)writer.write("half of a blo");
        kill(getpid(), SIGKILL);
    });
    EXPECT_EQ(files_in("tmp"), 1U);
    reopen();
    EXPECT_EQ(files_in("tmp"), 0U);
    EXPECT_EQ(store_->list().value().size(), 0U);
}

TEST_F(BlobStoreTest, KeepsAPartialDownloadThroughAKill) {
    oci::Digest whole = oci::Digest::of("first second");
    in_killed_process([&] {
        BlobWriter writer = store_->resume(lease_, whole).value();
        (void)writer.write("first ");
        kill(getpid(), SIGKILL);
    });
    reopen();
    EXPECT_EQ(store_->resume(lease_, whole).value().offset(), 6U);
}

TEST_F(BlobStoreTest, SaysThatTheDiskIsFullAndLeavesNothing) {
    if (geteuid() != 0) {
        GTEST_SKIP() << "needs root";
    }
    pid_t child = fork();
    if (child == 0) {
        std::string place = root() + "/full";
        bool good = unshare(CLONE_NEWNS) == 0 &&
                    mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                    mkdir(place.c_str(), 0700) == 0 &&
                    mount("tmpfs", place.c_str(), "tmpfs", 0, "size=1m") == 0;
        auto small = BlobStore::open(place).value();
        StringSource source(std::string(2U << 20, 'x'));
        auto blob = small->ingest(lease_, source);
        good = good && !blob.ok() && blob.error().kind() == ErrorKind::ResourceExhausted &&
               list_directory(place + "/tmp").value().empty() && small->list().value().empty();
        _exit(good ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

} // namespace
} // namespace berth::store
