// SPDX-License-Identifier: Apache-2.0
// Layers as images in a store: mounted once, found again, repaired, beside directories, and
// unpacked where the kernel mounts none.
#include "codec/sha256.h"
#include "kernel/mount.h"
#include "oci/image_config.h"
#include "store/layer_file.h"
#include "store/layer_mounts.h"
#include "store/testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {
namespace {

using testing::list_tree;
using testing::run_and_kill;
using testing::TarBuilder;

class ErofsLayers : public testing::StoreTest {
  protected:
    void SetUp() override {
        StoreTest::SetUp();
        if (!IsSkipped() && !layers().form_description().starts_with("erofs")) {
            GTEST_SKIP() << "this kernel mounts no EROFS images";
        }
    }

    void TearDown() override { close(); }

    std::string directory_of(const LayerInfo& layer) const {
        return root() + "/layers/" + std::string(layer.chain_id.hex());
    }

    std::string image_of(const LayerInfo& layer) const {
        return LayerMounts::image_of(directory_of(layer));
    }

    bool is_mounted(const LayerInfo& layer) const {
        return kernel::is_mount_point(LayerMounts::mount_point_of(directory_of(layer))).value();
    }

    // What a container on the layer sees.
    std::string seen_on(const oci::Digest& chain_id) {
        EXPECT_TRUE(layers().prepare("looker", chain_id).ok());
        Result<std::string> path = layers().mount("looker");
        EXPECT_TRUE(path.ok()) << (path.ok() ? "" : path.error().message());
        std::string tree = path.ok() ? list_tree(*path) : "";
        EXPECT_TRUE(layers().remove_writable("looker").ok());
        return tree;
    }

    void execute(const std::string& sql) {
        ASSERT_TRUE(store_->database().session().execute(sql).ok());
    }
};

TEST_F(ErofsLayers, AreOneFileWithTheTarInIt) {
    const std::string tar = TarBuilder().file("z", "1").file("a", "2").finish();
    const LayerInfo layer = add_layer({}, tar, {.keep_blob = true});
    EXPECT_THAT(
        list_directory(directory_of(layer)).value(),
        ::testing::ElementsAre("layer.erofs", "mount"));
    EXPECT_TRUE(store_->blobs().list().value().empty()); // it is the tar's keeper itself
    StringSink sink;
    ASSERT_TRUE(layers().write_tar(layer.chain_id, sink).ok());
    EXPECT_EQ(sink.bytes(), tar);
    EXPECT_EQ(layers().tar_size(layer.chain_id).value(), tar.size());
    const LayerBlob blob = layers().ensure_blob(*lease_, layer.chain_id).value();
    EXPECT_EQ(store_->blobs().size(blob.digest).value(), blob.size);
}

TEST_F(ErofsLayers, ShowInContainersWithWhiteoutsAndOneDevice) {
    const LayerInfo base = add_layer(
        {},
        TarBuilder()
            .directory("d")
            .file("d/old", "1")
            .file("gone", "2")
            .directory("o")
            .file("o/x", "3")
            .finish());
    const LayerInfo top = add_layer(
        base.chain_id,
        TarBuilder().file(".wh.gone", "").file("d/new", "4").file("o/.wh..wh..opq", "").finish());
    EXPECT_EQ(
        seen_on(top.chain_id),
        "d 0755 0:0 d\nf 0644 0:0 d/new = 4\nf 0644 0:0 d/old = 1\nd 0755 0:0 o\n");
    ASSERT_TRUE(layers().prepare("c", top.chain_id).ok());
    const std::string path = layers().mount("c").value();

    struct stat directory {};

    struct stat file {};

    ASSERT_EQ(stat(path.c_str(), &directory), 0);
    ASSERT_EQ(stat((path + "/d/old").c_str(), &file), 0);
    EXPECT_EQ(file.st_dev, directory.st_dev); // find -xdev, du -x
    ASSERT_TRUE(replace_file(path + "/d/old", "changed", 0644, Sync::No).ok());
    ASSERT_EQ(unlink((path + "/d/new").c_str()), 0);
    EXPECT_THAT(
        layers().changes("c").value(),
        ::testing::ElementsAre(
            Change{"/d", ChangeKind::Modified},
            Change{"/d/new", ChangeKind::Deleted},
            Change{"/d/old", ChangeKind::Modified}));
    const LayerInfo committed = layers().commit(*lease_, "c").value();
    ASSERT_TRUE(layers().remove_writable("c").ok());
    EXPECT_EQ(
        seen_on(committed.chain_id), "d 0755 0:0 d\nf 0644 0:0 d/old = changed\nd 0755 0:0 o\n");
}

TEST_F(ErofsLayers, GiveImpliedDirectoriesTheModeBelow) {
    const LayerInfo base =
        add_layer({}, TarBuilder().directory("tmp", 01777).directory("tmp/d", 0700).finish());
    const LayerInfo top = add_layer(base.chain_id, TarBuilder().file("tmp/d/e/x", "1").finish());
    EXPECT_THAT(
        seen_on(top.chain_id),
        ::testing::AllOf(
            ::testing::HasSubstr("d 1777 0:0 tmp\n"), ::testing::HasSubstr("d 0700 0:0 tmp/d\n")));
}

TEST_F(ErofsLayers, AreMountedOnceAndUnmountedWithTheStore) {
    const LayerInfo layer = add_layer({}, simple_tar("x"));
    EXPECT_FALSE(is_mounted(layer));
    for (const char* id : {"one", "two"}) {
        ASSERT_TRUE(layers().prepare(id, layer.chain_id).ok());
        ASSERT_TRUE(layers().mount(id).ok());
    }
    EXPECT_TRUE(is_mounted(layer));
    ASSERT_TRUE(layers().remove_writable("one").ok());
    ASSERT_TRUE(layers().remove_writable("two").ok());
    EXPECT_TRUE(is_mounted(layer)); // for the next one
    close();
    EXPECT_FALSE(is_mounted(layer));
}

TEST_F(ErofsLayers, StayMountedUnderContainersThatOutliveTheStore) {
    const LayerInfo layer = add_layer({}, simple_tar("x"));
    ASSERT_TRUE(layers().prepare("c", layer.chain_id).ok());
    const std::string path = layers().mount("c").value();
    close();
    EXPECT_TRUE(is_mounted(layer));
    open();
    // docker cp and the like: in and out, while the container goes on.
    ASSERT_TRUE(layers().mount("c").ok());
    ASSERT_TRUE(layers().unmount("c").ok());
    EXPECT_EQ(read_file(path + "/d/file").value(), "x");
    ASSERT_TRUE(layers().unmount("c").ok());
    EXPECT_FALSE(kernel::is_mount_point(path).value());
    close();
    EXPECT_FALSE(is_mounted(layer));
}

TEST_F(ErofsLayers, AreUnmountedWhenAKilledProcessLeftThem) {
    const LayerInfo layer = add_layer({}, simple_tar("x"));
    ASSERT_TRUE(
        mount_erofs(
            image_of(layer), LayerMounts::mount_point_of(directory_of(layer)), ErofsMethod::File)
            .ok());
    open();
    EXPECT_FALSE(is_mounted(layer));
}

TEST_F(ErofsLayers, AreMountedAgainWhenSomebodyUnmountsThem) {
    const LayerInfo layer = add_layer({}, simple_tar("x"));
    seen_on(layer.chain_id);
    ASSERT_TRUE(is_mounted(layer));
    ASSERT_TRUE(kernel::unmount_lazily(LayerMounts::mount_point_of(directory_of(layer))).ok());
    EXPECT_EQ(seen_on(layer.chain_id), "d 0755 0:0 d\nf 0644 0:0 d/file = x\n");
}

TEST_F(ErofsLayers, GoWithTheirMounts) {
    const LayerInfo layer = add_layer({}, simple_tar("x"));
    seen_on(layer.chain_id);
    ASSERT_TRUE(layers().remove(layer.chain_id).ok());
    layers().wait_for_deletions();
    EXPECT_TRUE(list_directory(root() + "/layers").value().empty());
    EXPECT_TRUE(list_directory(root() + "/tmp").value().empty());
}

TEST_F(ErofsLayers, StandOnDirectoriesAndUnderThem) {
    open(SnapshotterKind::Overlay, LayerForm::Directory);
    const LayerInfo base = add_layer({}, TarBuilder().file("a", "1").file("b", "1").finish());
    open(SnapshotterKind::Overlay, LayerForm::Erofs);
    const LayerInfo middle =
        add_layer(base.chain_id, TarBuilder().file("b", "2").file("c", "2").finish());
    open(SnapshotterKind::Overlay, LayerForm::Directory);
    const LayerInfo top =
        add_layer(middle.chain_id, TarBuilder().file("c", "3").file("d", "3").finish());
    EXPECT_EQ(
        seen_on(top.chain_id),
        "f 0644 0:0 a = 1\nf 0644 0:0 b = 2\nf 0644 0:0 c = 3\nf 0644 0:0 d = 3\n");
}

TEST_F(ErofsLayers, AreReadByTheCopySnapshotterToo) {
    const LayerInfo layer = add_layer({}, simple_tar("x"));
    open(SnapshotterKind::Copy);
    EXPECT_EQ(layers().form_description(), "directory");
    EXPECT_EQ(seen_on(layer.chain_id), "d 0755 0:0 d\nf 0644 0:0 d/file = x\n");
}

TEST_F(ErofsLayers, AreRepairedFromTheirOwnTarAfterAPowerCut) {
    const LayerInfo base = add_layer({}, TarBuilder().directory("t", 01777).finish());
    const LayerInfo torn =
        add_layer(base.chain_id, TarBuilder().file("t/z", "1").file("a", "2").finish());
    const LayerInfo lost = add_layer({}, TarBuilder().file("z", "1").finish());
    execute("UPDATE layers SET boot_id = 'another'");
    close();

    struct stat status {};

    ASSERT_EQ(stat(image_of(torn).c_str(), &status), 0);
    ASSERT_EQ(truncate(image_of(torn).c_str(), status.st_size - 4096), 0); // the index
    UniqueFd file = open_file(image_of(lost), O_WRONLY).value();
    ASSERT_EQ(pwrite(file.get(), "?", 1, LayerFile::tar_offset + 512), 1); // the data
    open();
    EXPECT_FALSE(layers().contains(lost.chain_id));
    EXPECT_EQ(seen_on(torn.chain_id), "f 0644 0:0 a = 2\nd 1777 0:0 t\nf 0644 0:0 t/z = 1\n");
}

TEST_F(ErofsLayers, AreStagedAgainFromALayer) {
    const LayerInfo layer = add_layer({}, simple_tar("x"));
    StagedLayer again = layers().stage_again(*lease_, layer.diff_id).value();
    const LayerInfo upper = layers().publish(*lease_, layer.chain_id, std::move(again)).value();
    EXPECT_EQ(upper.parent, layer.chain_id);
    const oci::Digest unknown = oci::Digest::of("nobody's");
    EXPECT_EQ(layers().stage_again(*lease_, unknown).error().kind(), ErrorKind::NotFound);
}

TEST_F(ErofsLayers, Are128UnderOneContainer) {
    oci::Digest chain_id;
    for (int i = 0; i < 127; ++i) {
        const std::string name = std::to_string(i);
        chain_id =
            add_layer(chain_id, TarBuilder().file("f" + name, name).file("top", name).finish())
                .chain_id;
    }
    ASSERT_TRUE(layers().prepare("c", chain_id).ok());
    const Result<std::string> path = layers().mount("c");
    ASSERT_TRUE(path.ok()) << path.error().message();
    EXPECT_EQ(read_file(*path + "/top").value(), "126");
    EXPECT_EQ(read_file(*path + "/f0").value(), "0");
    EXPECT_EQ(list_directory(*path).value().size(), 128U);
    ASSERT_TRUE(layers().remove_writable("c").ok());
}

TEST_F(ErofsLayers, LeaveNothingWhenKilledInTheMiddle) {
    class Killing final : public ByteSource {
      public:
        explicit Killing(std::string bytes)
            : bytes_(std::move(bytes)) {}

        Result<std::size_t> read(std::span<char> buffer) override {
            if (bytes_.empty()) {
                kill(getpid(), SIGKILL);
            }
            const std::size_t count = std::min(buffer.size(), bytes_.size());
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
        std::string bytes = TarBuilder().file("f", std::string(8U << 20, 'x')).finish();
        bytes.resize(bytes.size() / 2);
        Killing source(std::move(bytes));
        (void)layers().apply(*lease_, {}, source);
    });
    open();
    layers().wait_for_deletions();
    EXPECT_TRUE(list_directory(root() + "/tmp").value().empty());
    EXPECT_TRUE(layers().list().value().empty());
}

TEST_F(ErofsLayers, BecomeDirectoriesWhenTheyDoNotFit) {
    StringSource source(TarBuilder().file("a", "1").file("b", "2").finish());
    LayerFile file =
        LayerFile::write(root() + "/tmp/large", source, {.extraction = {}, .nodes = 2}).value();
    EXPECT_FALSE(file.fits());
    FileSource tar = file.tar();
    const LayerInfo layer = layers().apply(*lease_, {}, tar).value();
    EXPECT_EQ(layer.size, 2U);
    ASSERT_EQ(unlink((root() + "/tmp/large").c_str()), 0);
}

TEST_F(ErofsLayers, BecomeDirectoriesWhenTheirAttributesAreTooLarge) {
    TarBuilder tar;
    for (const char* name : {"a", "b", "c"}) {
        tar.add({.name = name, .xattrs = {{"user.x", name + std::string(1000, 'x')}}});
    }
    StringSource source(tar.finish());
    const LayerFile file =
        LayerFile::write(root() + "/tmp/large", source, {.extraction = {}, .text_bytes = 2500})
            .value();
    EXPECT_FALSE(file.fits());
    ASSERT_EQ(unlink((root() + "/tmp/large").c_str()), 0);
}

} // namespace
} // namespace berth::store
