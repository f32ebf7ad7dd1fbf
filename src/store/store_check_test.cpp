// SPDX-License-Identifier: Apache-2.0
#include "store/store_check.h"
#include "store/testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TarBuilder;

class StoreCheckTest : public testing::StoreTest {
  protected:
    void SetUp() override {
        StoreTest::SetUp();
        open(SnapshotterKind::Overlay, LayerForm::Directory);
    }

    std::vector<Problem> check(CheckOptions options = {}) {
        std::vector<Problem> problems;
        auto report = check_store({}, *store_, root(), options, [&](const Problem& problem) {
            problems.push_back(problem);
        });
        EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message());
        if (report.ok()) {
            report_ = *report;
        }
        return problems;
    }

    std::string blob_path(const oci::Digest& digest) {
        return root() + "/blobs/sha256/" + std::string(digest.hex());
    }

    std::string file_of(const Image& image) {
        return root() + "/layers/" + std::string(image.chain_id.hex()) + "/diff/content";
    }

    static void write(const std::string& path, const std::string& bytes) {
        std::ofstream(path, std::ios::binary) << bytes;
    }

    static void flip_first_bit(const std::string& path) {
        std::string bytes = read_file(path).value();
        bytes[0] = static_cast<char>(bytes[0] ^ 1);
        write(path, bytes);
    }

    // With its layer as a blob too.
    Image add_pushed_image(const std::string& name, const std::string& content) {
        Image image = add_image(name, content);
        layer_blob_ =
            store_->images().manifest_for_push(*lease_, image.id).value().manifest.layers[0].digest;
        return image;
    }

    CheckReport report_;
    oci::Digest layer_blob_;
};

TEST_F(StoreCheckTest, FindsNothingInAWholeStore) {
    add_pushed_image("app", "content");
    EXPECT_THAT(check({.deep = true}), IsEmpty());
    EXPECT_EQ(report_.blobs, 3U);
    EXPECT_EQ(report_.layers, 1U);
    EXPECT_EQ(report_.images, 1U);
}

TEST_F(StoreCheckTest, NamesAFlippedBitInALayersBlobAndMendsIt) {
    add_pushed_image("app", "content");
    flip_first_bit(blob_path(layer_blob_));
    auto problems = check();
    ASSERT_THAT(problems, SizeIs(1));
    EXPECT_EQ(problems[0].kind, "blob");
    EXPECT_EQ(problems[0].subject, layer_blob_.to_string());
    EXPECT_THAT(problems[0].images, ElementsAre("app:latest"));
    EXPECT_FALSE(problems[0].repaired);
    problems = check({.repair = true});
    ASSERT_THAT(problems, SizeIs(1));
    EXPECT_TRUE(problems[0].repaired);
    EXPECT_THAT(check(), IsEmpty());
    Image image = store_->images().get("app").value();
    PushableManifest again = store_->images().manifest_for_push(*lease_, image.id).value();
    EXPECT_EQ(again.manifest.layers[0].digest, layer_blob_);
}

TEST_F(StoreCheckTest, WritesALostOrDamagedConfigurationAgain) {
    Image image = add_image("app", "content");
    ASSERT_EQ(unlink(blob_path(image.id).c_str()), 0);
    EXPECT_THAT(check(), SizeIs(1));
    check({.repair = true});
    EXPECT_THAT(check(), IsEmpty());
    flip_first_bit(blob_path(image.id));
    EXPECT_THAT(check({.repair = true}), SizeIs(1));
    EXPECT_THAT(check(), IsEmpty());
    EXPECT_EQ(store_->blobs().read(image.id).value(), image.config_json);
}

TEST_F(StoreCheckTest, ForgetsALostManifest) {
    Image image = add_image("app", "content");
    PushableManifest manifest = store_->images().manifest_for_push(*lease_, image.id).value();
    ASSERT_EQ(unlink(blob_path(manifest.descriptor.digest).c_str()), 0);
    auto problems = check({.repair = true});
    ASSERT_THAT(problems, SizeIs(1));
    EXPECT_THAT(problems[0].message, HasSubstr(manifest.descriptor.digest.to_string()));
    EXPECT_THAT(check(), IsEmpty());
}

TEST_F(StoreCheckTest, UnpacksALayerAgainWhoseFilesAreGoneOrChanged) {
    Image image = add_pushed_image("app", "content");
    flip_first_bit(file_of(image));
    EXPECT_THAT(check(), IsEmpty()) << "a quick check looks at no file";
    auto problems = check({.deep = true});
    ASSERT_THAT(problems, SizeIs(1));
    EXPECT_EQ(problems[0].kind, "layer");
    EXPECT_THAT(problems[0].images, ElementsAre("app:latest"));
    check({.repair = true, .deep = true});
    EXPECT_THAT(check({.deep = true}), IsEmpty());
    EXPECT_EQ(read_file(file_of(image)).value(), "content");

    const std::string layer = root() + "/layers/" + std::string(image.chain_id.hex());
    ASSERT_EQ(rename(layer.c_str(), (root() + "/moved").c_str()), 0);
    EXPECT_THAT(check(), SizeIs(1));
    check({.repair = true});
    EXPECT_EQ(read_file(file_of(image)).value(), "content");
}

TEST_F(StoreCheckTest, MakesALayersImageAgainWhoseTarIsDamaged) {
    open(SnapshotterKind::Overlay, LayerForm::Automatic);
    Image image = add_pushed_image("app", "content");
    const std::string path =
        root() + "/layers/" + std::string(image.chain_id.hex()) + "/layer.erofs";
    if (!exists(path)) {
        GTEST_SKIP() << "this kernel mounts no EROFS images";
    }
    EXPECT_THAT(check({.deep = true}), IsEmpty());
    {
        constexpr std::streamoff file_data = 4096 + 512;
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(file_data);
        file.put('C');
    }
    auto problems = check({.repair = true, .deep = true});
    ASSERT_THAT(problems, SizeIs(1));
    EXPECT_EQ(problems[0].kind, "layer");
    EXPECT_TRUE(problems[0].repaired) << problems[0].remedy;
    EXPECT_THAT(check({.deep = true}), IsEmpty());
}

// The calling thread finds a kernel that exchanges no files, as on NFS.
void forbid_exchange() {
    std::array<sock_filter, 6> filter{
        sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 3),
        sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[4])),
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RENAME_EXCHANGE, 0, 1),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    sock_fprog program{.len = filter.size(), .filter = filter.data()};
    ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    ASSERT_NE(renameat2(AT_FDCWD, "/", AT_FDCWD, "/", RENAME_EXCHANGE), 0);
    ASSERT_EQ(errno, EINVAL);
}

TEST_F(StoreCheckTest, RepairsWhereNothingCanBeExchanged) {
    const Image image = add_pushed_image("app", "content");
    const std::string layer = root() + "/layers/" + std::string(image.chain_id.hex());
    // From files to files, from files to an image where the kernel has those, and back.
    for (const LayerForm form :
         {LayerForm::Directory, LayerForm::Automatic, LayerForm::Directory}) {
        const bool was_image = exists(layer + "/layer.erofs");
        if (was_image) {
            std::fstream file(
                layer + "/layer.erofs", std::ios::in | std::ios::out | std::ios::binary);
            file.seekp(4096 + 512);
            file.put('C');
        } else {
            flip_first_bit(file_of(image));
        }
        open(SnapshotterKind::Overlay, form);
        std::jthread([&] {
            forbid_exchange();
            const auto problems = check({.repair = true, .deep = true});
            ASSERT_THAT(problems, SizeIs(1));
            EXPECT_TRUE(problems[0].repaired) << problems[0].remedy;
        }).join();
        EXPECT_THAT(check({.deep = true}), IsEmpty());
        EXPECT_NE(exists(layer + "/layer.erofs"), exists(file_of(image)));
    }
    EXPECT_EQ(read_file(file_of(image)).value(), "content");
}

TEST_F(StoreCheckTest, SaysWhatCannotBeRepaired) {
    Image image = add_image("app", "content");
    flip_first_bit(file_of(image));
    auto problems = check({.repair = true, .deep = true});
    ASSERT_THAT(problems, SizeIs(1));
    EXPECT_FALSE(problems[0].repaired);
    EXPECT_THAT(problems[0].remedy, HasSubstr("no blob"));
    EXPECT_EQ(report_.problems, 1U);
    EXPECT_EQ(report_.repaired, 0U);
}

TEST_F(StoreCheckTest, MendsTheFrameOfATar) {
    const std::string tar = TarBuilder().file("z", "1").file("a", "2").finish();
    LayerInfo layer = add_layer({}, tar, {.keep_blob = true});
    const LayerBlob blob = store_->layers().ensure_blob(*lease_, layer.chain_id).value();
    const std::string frame =
        root() + "/layers/" + std::string(layer.chain_id.hex()) + "/tar.frame";
    if (!exists(frame)) {
        GTEST_SKIP() << "the layer is an image";
    }
    EXPECT_THAT(check({.deep = true}), IsEmpty());
    ASSERT_EQ(truncate(frame.c_str(), 40), 0);
    auto problems = check({.repair = true, .deep = true});
    ASSERT_THAT(problems, SizeIs(1));
    EXPECT_THAT(problems[0].message, HasSubstr("frame"));
    EXPECT_TRUE(problems[0].repaired) << problems[0].remedy;
    ASSERT_EQ(unlink(blob_path(blob.digest).c_str()), 0);
    StringSink sink;
    ASSERT_TRUE(store_->layers().write_tar(layer.chain_id, sink).ok());
    EXPECT_EQ(sink.bytes(), tar);
}

// A directory that no entry named has the time at which it was made, which is another one each
// time.
TEST_F(StoreCheckTest, TakesNoImpliedDirectoryForDamage) {
    LayerInfo layer =
        add_layer({}, TarBuilder().file("z", "1").file("a/b/c", "2").finish(), {.keep_blob = true});
    const Result<void> verified = store_->layers().verify(layer.chain_id, VerifyDepth::Deep);
    EXPECT_TRUE(verified.ok()) << verified.error().message();
    const std::string file =
        root() + "/layers/" + std::string(layer.chain_id.hex()) + "/diff/a/b/c";
    write(file, "3");
    EXPECT_FALSE(store_->layers().verify(layer.chain_id, VerifyDepth::Deep).ok());
}

TEST_F(StoreCheckTest, FindsADamagedIndexOfAnImageAndMakesItAgain) {
    open(SnapshotterKind::Overlay, LayerForm::Automatic);
    Image image = add_image("app", std::string(5000, 'x'));
    const std::string file = root() + "/layers/" + std::string(image.chain_id.hex());
    if (!exists(file + "/layer.erofs")) {
        GTEST_SKIP() << "this kernel mounts no EROFS images";
    }
    EXPECT_THAT(check({.deep = true}), IsEmpty());
    const std::string bytes = read_file(file + "/layer.erofs").value();
    const std::size_t name = bytes.rfind("content"); // the first is the tar's
    ASSERT_GT(name, std::size_t{4096});
    {
        std::fstream stream(file + "/layer.erofs", std::ios::binary | std::ios::in | std::ios::out);
        stream.seekp(static_cast<std::streamoff>(name));
        stream.put('C');
    }
    auto problems = check({.repair = true, .deep = true});
    ASSERT_THAT(problems, SizeIs(1));
    EXPECT_THAT(problems[0].message, HasSubstr("index"));
    EXPECT_TRUE(problems[0].repaired) << problems[0].remedy;
    EXPECT_THAT(check({.deep = true}), IsEmpty());
    EXPECT_EQ(read_file(file + "/layer.erofs").value().rfind("content"), name);
}

TEST_F(StoreCheckTest, FindsWhatNothingNames) {
    const std::string hex(64, 'a');
    for (const std::string& path : {"/layers/" + hex, std::string("/snapshots/stray")}) {
        ASSERT_EQ(mkdir((root() + path).c_str(), 0700), 0);
    }
    write(root() + "/blobs/sha256/other", "x");
    write(root() + "/tmp/blob-of-now", "x"); // may be somebody's work
    ASSERT_EQ(mkdir((root() + "/tmp/layer-of-hours-ago").c_str(), 0700), 0);
    write(root() + "/tmp/stray", "x");
    std::vector<std::string> subjects;
    for (const Problem& problem : check({.repair = true})) {
        subjects.push_back(problem.subject);
        EXPECT_TRUE(problem.repaired) << problem.remedy;
    }
    EXPECT_THAT(
        subjects,
        ElementsAre("layers/" + hex, "snapshots/stray", "blobs/sha256/other", "tmp/stray"));
    EXPECT_THAT(check(), IsEmpty());
}

TEST_F(StoreCheckTest, FindsARowThatRefersToNothing) {
    Image image = add_image("app", "content");
    {
        Session session = store_->database().session();
        ASSERT_TRUE(session.execute("PRAGMA foreign_keys = OFF").ok());
        ASSERT_TRUE(session.execute("DELETE FROM layers").ok());
        ASSERT_TRUE(session.execute("PRAGMA foreign_keys = ON").ok());
    }
    auto problems = check();
    ASSERT_FALSE(problems.empty());
    EXPECT_EQ(problems[0].kind, "metadata");
    EXPECT_THAT(problems[0].message, HasSubstr("images"));
}

TEST_F(StoreCheckTest, StopsWhenAsked) {
    add_image("app", "content");
    std::stop_source stop;
    stop.request_stop();
    auto report = check_store(stop.get_token(), *store_, root(), {}, [](const Problem&) {});
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().kind(), ErrorKind::Cancelled);
}

} // namespace
} // namespace berth::store
