// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "codec/sha256.h"
#include "kernel/mount.h"
#include "oci/image_config.h"
#include "store/layer_store.h"
#include "store/testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/magic.h>

#include <thread>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace berth::store {
namespace {

using testing::list_tree;
using testing::run_and_kill;
using testing::TarBuilder;

oci::Digest digest_of(std::string_view bytes) {
    return oci::Digest::of(bytes);
}

// With layers as directories, where the tests can look at them; layer_store_erofs_test.cpp has what
// is special about images.
class LayerStoreTest : public testing::StoreTest {
  protected:
    void SetUp() override {
        StoreTest::SetUp();
        if (!IsSkipped()) {
            open();
        }
    }

    void open(SnapshotterKind kind = SnapshotterKind::Overlay) {
        StoreTest::open(kind, LayerForm::Directory);
    }

    std::string content_of(const LayerInfo& layer) const {
        return root() + "/layers/" + std::string(layer.chain_id.hex()) + "/diff";
    }

    std::vector<std::string> temporaries() const { return list_directory(root() + "/tmp").value(); }

    std::string mount(const std::string& id) {
        Result<std::string> path = layers().mount(id);
        EXPECT_TRUE(path.ok()) << (path.ok() ? "" : path.error().message());
        return path.ok() ? *path : "";
    }

    static void write(const std::string& path, std::string_view bytes) {
        ASSERT_TRUE(replace_file(path, bytes, 0644, Sync::No).ok());
    }

    std::string tar_of(const oci::Digest& chain_id) {
        StringSink sink;
        Result<void> written = layers().write_tar(chain_id, sink);
        EXPECT_TRUE(written.ok()) << (written.ok() ? "" : written.error().message());
        return sink.take();
    }
};

TEST_F(LayerStoreTest, KnowsALayerByItsChainId) {
    std::string tar = simple_tar("x");
    LayerInfo base = add_layer({}, tar);
    EXPECT_EQ(base.diff_id, digest_of(tar));
    EXPECT_EQ(base.chain_id, base.diff_id);
    EXPECT_EQ(base.size, 1U);
    LayerInfo top = add_layer(base.chain_id, simple_tar("yy"));
    EXPECT_EQ(top.chain_id, oci::chain_id(base.chain_id, top.diff_id));
    EXPECT_EQ(top.parent, base.chain_id);
    std::vector<LayerInfo> chain = layers().chain(top.chain_id).value();
    ASSERT_EQ(chain.size(), 2U);
    EXPECT_EQ(chain[0].chain_id, base.chain_id);
    EXPECT_EQ(chain[1].chain_id, top.chain_id);
    EXPECT_EQ(list_tree(content_of(base)), "d 0755 0:0 d\nf 0644 0:0 d/file = x\n");
    EXPECT_TRUE(store_->leases().holds({ContentKind::Layer, base.chain_id}));
}

TEST_F(LayerStoreTest, KeepsOneCopyOfALayer) {
    LayerInfo first = add_layer({}, simple_tar("x"));
    LayerInfo second = add_layer({}, simple_tar("x"));
    EXPECT_EQ(first.chain_id, second.chain_id);
    EXPECT_EQ(layers().list().value().size(), 1U);
    EXPECT_THAT(temporaries(), ::testing::IsEmpty());
}

TEST_F(LayerStoreTest, RejectsALayerWithAnotherDiffId) {
    StringSource source(simple_tar("x"));
    auto layer = layers().apply(*lease_, {}, source, {.expected_diff_id = digest_of("y")});
    ASSERT_FALSE(layer.ok());
    EXPECT_EQ(layer.error().kind(), ErrorKind::DataLoss);
    EXPECT_THAT(temporaries(), ::testing::IsEmpty());
    EXPECT_TRUE(layers().list().value().empty());
}

TEST_F(LayerStoreTest, RejectsAParentThatIsNotThere) {
    StringSource source(simple_tar("x"));
    auto layer = layers().apply(*lease_, digest_of("none"), source);
    ASSERT_FALSE(layer.ok());
    EXPECT_EQ(layer.error().kind(), ErrorKind::NotFound);
    EXPECT_THAT(temporaries(), ::testing::IsEmpty());
}

TEST_F(LayerStoreTest, UnpacksManyLayersAtOnce) {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([this, i] {
            StringSource source(simple_tar(std::string(1000, static_cast<char>('a' + i / 2))));
            EXPECT_TRUE(layers().apply(*lease_, {}, source).ok());
        });
    }
    threads.clear();
    EXPECT_EQ(layers().list().value().size(), 4U);
    EXPECT_THAT(temporaries(), ::testing::Each(::testing::StartsWith("trash-")));
}

// /tmp must stay 1777 when a layer brings tmp/x without tmp.
TEST_F(LayerStoreTest, GivesImpliedDirectoriesTheModeBelow) {
    TarBuilder base;
    base.directory("tmp", 01777);
    LayerInfo parent = add_layer({}, base.finish());
    LayerInfo top =
        add_layer(parent.chain_id, TarBuilder().file("tmp/x", "1").file("new/y", "2").finish());
    EXPECT_EQ(
        list_tree(content_of(top)),
        "d 0755 0:0 new\nf 0644 0:0 new/y = 2\nd 1777 0:0 tmp\nf 0644 0:0 tmp/x = 1\n");
}

TEST_F(LayerStoreTest, RemovesOnlyWhatNothingStandsOn) {
    LayerInfo base = add_layer({}, simple_tar("x"));
    LayerInfo top = add_layer(base.chain_id, simple_tar("y"));
    ASSERT_TRUE(layers().prepare("container", top.chain_id).ok());
    EXPECT_EQ(layers().remove(base.chain_id).error().kind(), ErrorKind::Conflict);
    EXPECT_EQ(layers().remove(top.chain_id).error().kind(), ErrorKind::Conflict);
    ASSERT_TRUE(layers().remove_writable("container").ok());
    EXPECT_TRUE(layers().remove(top.chain_id).ok());
    EXPECT_TRUE(layers().remove(base.chain_id).ok());
    EXPECT_FALSE(exists(content_of(base)));
    layers().wait_for_deletions();
    EXPECT_THAT(temporaries(), ::testing::IsEmpty());
}

TEST_F(LayerStoreTest, SweepsWhatAKilledProcessLeft) {
    add_layer({}, simple_tar("kept"));
    close();
    run_and_kill([this] {
        open();
        // Unpacked, but never published.
        StringSource source(simple_tar("half"));
        auto staged = layers().stage(*lease_, source);
        // In place, but without its row; and the other way round for a writable layer.
        (void)make_directories(root() + "/layers/" + std::string(64, 'a') + "/diff");
        (void)make_directories(root() + "/snapshots/orphan/upper");
        kill(getpid(), SIGKILL);
    });
    open();
    layers().wait_for_deletions();
    EXPECT_THAT(temporaries(), ::testing::IsEmpty());
    EXPECT_EQ(list_directory(root() + "/layers").value().size(), 1U);
    EXPECT_TRUE(list_directory(root() + "/snapshots").value().empty());
    EXPECT_EQ(layers().list().value().size(), 1U);
}

TEST_F(LayerStoreTest, SurvivesAKillInTheMiddleOfUnpacking) {
    class Endless final : public ByteSource {
      public:
        explicit Endless(std::string bytes)
            : bytes_(std::move(bytes)) {}

        Result<std::size_t> read(std::span<char> buffer) override {
            if (bytes_.empty()) {
                kill(getpid(), SIGKILL);
            }
            std::size_t count = std::min(buffer.size(), bytes_.size());
            bytes_.copy(buffer.data(), count);
            bytes_.erase(0, count);
            return count;
        }

      private:
        std::string bytes_;
    };

    close();
    run_and_kill([this] {
        open();
        TarBuilder tar;
        for (int i = 0; i < 2000; ++i) {
            tar.file("f" + std::to_string(i), std::string(1000, 'x'));
        }
        std::string bytes = tar.finish();
        bytes.resize(bytes.size() / 2);
        Endless source(std::move(bytes));
        (void)layers().apply(*lease_, {}, source, {.keep_blob = true});
    });
    open();
    layers().wait_for_deletions();
    EXPECT_THAT(temporaries(), ::testing::IsEmpty());
    EXPECT_TRUE(layers().list().value().empty());
    EXPECT_TRUE(store_->blobs().list().value().empty());
}

TEST_F(LayerStoreTest, GivesBackTheTarOfALayerThatItKeepsTheFrameOf) {
    // Unsorted, so that it cannot be made again from the files alone.
    std::string tar = TarBuilder().file("z", "1").file("a", "2").finish() + "and more";
    LayerInfo layer = add_layer({}, tar, {.keep_blob = true});
    EXPECT_TRUE(store_->blobs().list().value().empty());
    EXPECT_EQ(layers().tar_size(layer.chain_id).value(), tar.size());
    EXPECT_EQ(tar_of(layer.chain_id), tar);
    EXPECT_TRUE(layers().verify(layer.chain_id, VerifyDepth::Deep).ok());
    const LayerInfo base = add_layer({}, simple_tar("base"));
    StagedLayer again = layers().stage_again(*lease_, layer.diff_id).value();
    LayerInfo second = layers().publish(*lease_, base.chain_id, std::move(again)).value();
    EXPECT_EQ(tar_of(second.chain_id), tar);
    LayerBlob blob = layers().ensure_blob(*lease_, layer.chain_id).value();
    EXPECT_EQ(blob.media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
    EXPECT_EQ(store_->blobs().size(blob.digest).value(), blob.size);
}

TEST_F(LayerStoreTest, GivesTheFrameToALayerThatCameWithoutOne) {
    std::string tar = TarBuilder().file("z", "1").file("a", "2").finish();
    LayerInfo layer = add_layer({}, tar);
    StringSink sink;
    ASSERT_EQ(layers().write_tar(layer.chain_id, sink).error().kind(), ErrorKind::DataLoss);
    add_layer({}, tar, {.keep_blob = true});
    EXPECT_EQ(tar_of(layer.chain_id), tar);
    layers().wait_for_deletions();
    EXPECT_THAT(temporaries(), ::testing::IsEmpty());
}

TEST_F(LayerStoreTest, SaysWhenATarCannotBeMadeAgain) {
    LayerInfo layer = add_layer({}, TarBuilder().file("z", "1").file("a", "2").finish());
    StringSink sink;
    EXPECT_EQ(layers().write_tar(layer.chain_id, sink).error().kind(), ErrorKind::DataLoss);
    EXPECT_FALSE(layers().ensure_blob(*lease_, layer.chain_id).ok());
    EXPECT_TRUE(store_->blobs().list().value().empty());
}

TEST_F(LayerStoreTest, SpreadsDirectoriesOnExt4) {
    struct statfs system {};

    ASSERT_EQ(statfs(root().c_str(), &system), 0);
    if (system.f_type != EXT4_SUPER_MAGIC) {
        GTEST_SKIP() << "the flag is ext4's";
    }
    for (const char* name : {"/tmp", "/snapshots"}) {
        UniqueFd directory = open_file(root() + name, O_RDONLY | O_DIRECTORY).value();
        unsigned flags = 0;
        ASSERT_EQ(ioctl(directory.get(), FS_IOC_GETFLAGS, &flags), 0);
        EXPECT_NE(flags & FS_TOPDIR_FL, 0U) << name;
    }
}

TEST_F(LayerStoreTest, RepairsUnsyncedLayersOfAnEarlierBoot) {
    LayerInfo kept = add_layer({}, simple_tar("blob"), {.keep_blob = true});
    ASSERT_TRUE(layers().ensure_blob(*lease_, kept.chain_id).ok());
    LayerInfo lost = add_layer({}, TarBuilder().file("z", "1").file("a", "2").finish());
    LayerInfo child = add_layer(lost.chain_id, simple_tar("child"));
    LayerInfo synced = add_layer({}, simple_tar("synced"));
    ASSERT_TRUE(store_->database()
                    .session()
                    .execute(
                        "UPDATE layers SET boot_id = 'another'; UPDATE layers SET boot_id = NULL "
                        "WHERE chain_id = '" +
                        synced.chain_id.to_string() + "'")
                    .ok());
    close();
    ASSERT_EQ(truncate((content_of(kept) + "/d/file").c_str(), 0), 0);
    ASSERT_EQ(truncate((content_of(lost) + "/z").c_str(), 0), 0);
    open();
    EXPECT_EQ(read_file(content_of(kept) + "/d/file").value(), "blob");
    EXPECT_TRUE(exists(root() + "/layers/" + std::string(kept.chain_id.hex()) + "/tar.frame"));
    EXPECT_FALSE(layers().contains(lost.chain_id));
    EXPECT_FALSE(layers().contains(child.chain_id));
    EXPECT_TRUE(layers().contains(synced.chain_id));
}

TEST_F(LayerStoreTest, ForgetsRowsWhoseFilesAreGone) {
    LayerInfo kept = add_layer({}, simple_tar("blob"), {.keep_blob = true});
    ASSERT_TRUE(layers().ensure_blob(*lease_, kept.chain_id).ok());
    LayerInfo lost = add_layer({}, simple_tar("files only"));
    ASSERT_TRUE(layers().prepare("container", kept.chain_id).ok());
    close();
    ASSERT_TRUE(remove_tree(root() + "/layers").ok());
    ASSERT_TRUE(remove_tree(root() + "/snapshots").ok());
    open();
    EXPECT_EQ(read_file(content_of(kept) + "/d/file").value(), "blob");
    EXPECT_FALSE(layers().contains(lost.chain_id));
    EXPECT_FALSE(layers().has_writable("container"));
}

TEST_F(LayerStoreTest, MarksLayersAsSynced) {
    add_layer({}, simple_tar("x"));
    ASSERT_TRUE(layers().sync().ok());
    Session session = store_->database().session();
    auto query = session.prepare("SELECT count(*) FROM layers WHERE boot_id IS NULL").value();
    ASSERT_TRUE(query.step().value());
    EXPECT_EQ(query.number(0), 1);
}

TEST_F(LayerStoreTest, MountsAndRemovesWritableLayers) {
    LayerInfo base = add_layer({}, simple_tar("x"));
    ASSERT_TRUE(layers().prepare("container", base.chain_id).ok());
    EXPECT_TRUE(layers().has_writable("container"));
    EXPECT_EQ(layers().parent_of("container").value(), base.chain_id);
    std::string path = mount("container");
    EXPECT_EQ(read_file(path + "/d/file").value(), "x");
    EXPECT_EQ(mount("container"), path);
    ASSERT_TRUE(layers().unmount("container").ok());
    EXPECT_TRUE(kernel::is_mount_point(path).value());
    ASSERT_TRUE(layers().unmount("container").ok());
    EXPECT_FALSE(kernel::is_mount_point(path).value());
    mount("container");
    ASSERT_TRUE(layers().remove_writable("container").ok());
    ASSERT_TRUE(layers().remove_writable("container").ok());
    EXPECT_FALSE(layers().has_writable("container"));
    EXPECT_FALSE(exists(root() + "/snapshots/container"));
}

TEST_F(LayerStoreTest, RefusesAWritableLayerTwiceOrOnNothing) {
    ASSERT_TRUE(layers().prepare("a", {}).ok());
    EXPECT_EQ(layers().prepare("a", {}).error().kind(), ErrorKind::Conflict);
    EXPECT_EQ(layers().prepare("b", digest_of("none")).error().kind(), ErrorKind::Conflict);
    for (const char* id : {"", "..", "a/b", ".hidden"}) {
        EXPECT_EQ(layers().prepare(id, {}).error().kind(), ErrorKind::InvalidArgument) << id;
    }
    EXPECT_EQ(layers().mount("none").error().kind(), ErrorKind::NotFound);
}

TEST_F(LayerStoreTest, FindsAMountAgainAfterARestart) {
    ASSERT_TRUE(layers().prepare("container", {}).ok());
    std::string path = mount("container");
    write(path + "/a", "1");
    open();
    EXPECT_EQ(mount("container"), path);
    EXPECT_EQ(read_file(path + "/a").value(), "1");
    ASSERT_TRUE(layers().unmount("container").ok());
    EXPECT_TRUE(kernel::is_mount_point(path).value()); // the running container's
    ASSERT_TRUE(layers().unmount("container").ok());
    EXPECT_FALSE(kernel::is_mount_point(path).value());
}

TEST_F(LayerStoreTest, CommitsARunningContainer) {
    LayerInfo base = add_layer({}, simple_tar("x"));
    ASSERT_TRUE(layers().prepare("container", base.chain_id).ok());
    std::string path = mount("container");
    write(path + "/d/new", "written");
    ASSERT_EQ(unlink((path + "/d/file").c_str()), 0);
    LayerInfo top = layers().commit(*lease_, "container").value();
    EXPECT_EQ(top.parent, base.chain_id);
    EXPECT_EQ(top.size, 7U);
    EXPECT_EQ(list_tree(content_of(top)), "d 0755 0:0 d\nw d/file\nf 0644 0:0 d/new = written\n");
    // The layer's tar can be made again from its files, for a push.
    EXPECT_EQ(digest_of(tar_of(top.chain_id)), top.diff_id);
    EXPECT_EQ(layers().tar_size(top.chain_id).value(), tar_of(top.chain_id).size());
    EXPECT_TRUE(layers().ensure_blob(*lease_, top.chain_id).ok());
    EXPECT_EQ(digest_of(tar_of(top.chain_id)), top.diff_id);
    EXPECT_EQ(read_file(path + "/d/new").value(), "written");
    ASSERT_TRUE(layers().remove_writable("container").ok());
}

TEST_F(LayerStoreTest, CommitsAndRemovesWithoutACopy) {
    LayerInfo base = add_layer({}, simple_tar("x"));
    for (const char* id : {"one", "two"}) {
        ASSERT_TRUE(layers().prepare(id, base.chain_id, {.mode = WriteMode::Volatile}).ok());
        std::string path = mount(id);
        ASSERT_TRUE(remove_tree(path + "/d").ok());
        ASSERT_EQ(mkdir((path + "/d").c_str(), 0755), 0);
        write(path + "/d/new", "written");
        timespec times[2] = {{5, 6}, {5, 6}};
        ASSERT_EQ(utimensat(AT_FDCWD, (path + "/d/new").c_str(), times, 0), 0);
        ASSERT_EQ(utimensat(AT_FDCWD, (path + "/d").c_str(), times, 0), 0);
        ASSERT_TRUE(layers().unmount(id).ok());
    }
    LayerInfo copied = layers().commit(*lease_, "one").value();
    LayerInfo moved = layers().commit_and_remove(*lease_, "two").value();
    EXPECT_EQ(copied.chain_id, moved.chain_id);
    EXPECT_FALSE(layers().has_writable("two"));
    EXPECT_EQ(list_tree(content_of(moved)), "d 0755 0:0 d\no d\nf 0644 0:0 d/new = written\n");
    EXPECT_EQ(digest_of(tar_of(moved.chain_id)), moved.diff_id);
}

TEST_F(LayerStoreTest, CommitsWithTheCopySnapshotterToo) {
    open(SnapshotterKind::Copy);
    EXPECT_EQ(layers().driver_name(), "vfs");
    LayerInfo base = add_layer({}, simple_tar("x"));
    ASSERT_TRUE(layers().prepare("container", base.chain_id).ok());
    std::string path = mount("container");
    ASSERT_EQ(unlink((path + "/d/file").c_str()), 0);
    write(path + "/d/new", "written");
    LayerInfo top = layers().commit_and_remove(*lease_, "container").value();
    EXPECT_EQ(list_tree(content_of(top)), "d 0755 0:0 d\nw d/file\nf 0644 0:0 d/new = written\n");
    EXPECT_EQ(digest_of(tar_of(top.chain_id)), top.diff_id);
    EXPECT_FALSE(layers().has_writable("container"));
}

TEST_F(LayerStoreTest, RemovesADirectoryThatIsDeeperThanAnyPath) {
    ASSERT_TRUE(layers().prepare("container", {}).ok());
    UniqueFd fd = open_file(mount("container"), O_RDONLY | O_DIRECTORY).value();
    for (int i = 0; i < 300; ++i) {
        std::string name(20, 'd');
        ASSERT_EQ(mkdirat(fd.get(), name.c_str(), 0755), 0);
        fd.reset(openat(fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        ASSERT_TRUE(fd);
    }
    fd.reset();
    ASSERT_TRUE(layers().remove_writable("container").ok());
    layers().wait_for_deletions();
    EXPECT_THAT(temporaries(), ::testing::IsEmpty());
}

TEST_F(LayerStoreTest, DescribesTheMountAsDockerDoes) {
    LayerInfo base = add_layer({}, simple_tar("x"));
    ASSERT_TRUE(layers().prepare("container", base.chain_id).ok());
    auto data = layers().describe("container").value();
    ASSERT_EQ(data.size(), 4U);
    EXPECT_EQ(data[0], std::pair(std::string("LowerDir"), content_of(base)));
    EXPECT_EQ(data[2].second, root() + "/snapshots/container/upper");
}

} // namespace
} // namespace berth::store
