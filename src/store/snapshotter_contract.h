// SPDX-License-Identifier: Apache-2.0
// What every snapshotter must do, as a suite of parameterized tests: see snapshotter_test.cpp.
#pragma once

#include "store/layer_extractor.h"
#include "store/layer_tar.h"
#include "store/snapshotter.h"
#include "store/testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store::testing {

using SnapshotterFactory = std::function<std::unique_ptr<Snapshotter>()>;

class SnapshotterContract : public ::testing::TestWithParam<SnapshotterFactory> {
  protected:
    void SetUp() override {
        if (!is_root()) {
            GTEST_SKIP() << "needs root: mounts, devices";
        }
        snapshotter_ = GetParam()();
    }

    void TearDown() override {
        for (const WritableLayer& layer : mounted_) {
            EXPECT_TRUE(snapshotter_->unmount(layer).ok());
        }
    }

    // A layer directory; the newest is the topmost.
    void add_layer(TarBuilder& tar) {
        std::string path = directory_.path() + "/layer" + std::to_string(layers_.size());
        ASSERT_TRUE(make_directories(path).ok());
        LayerExtractor extractor = LayerExtractor::create(path).value();
        StringSource source(tar.finish());
        Result<void> extracted = extractor.extract(source);
        ASSERT_TRUE(extracted.ok()) << extracted.error().message();
        layers_.insert(layers_.begin(), path);
    }

    WritableLayer prepare(const std::string& id) {
        WritableLayer layer{directory_.path() + "/" + id, layers_};
        EXPECT_TRUE(make_directories(layer.directory).ok());
        Result<void> prepared = snapshotter_->prepare(layer);
        EXPECT_TRUE(prepared.ok()) << (prepared.ok() ? "" : prepared.error().message());
        return layer;
    }

    std::string mount(const WritableLayer& layer, WriteMode mode = WriteMode::Normal) {
        Result<std::string> path = snapshotter_->mount(layer, mode);
        EXPECT_TRUE(path.ok()) << (path.ok() ? "" : path.error().message());
        mounted_.push_back(layer);
        return path.ok() ? *path : "";
    }

    std::vector<Change> changes(const WritableLayer& layer) {
        return changes_of(snapshotter_->difference(layer).value());
    }

    std::string difference_tar(const WritableLayer& layer) {
        StringSink sink;
        Difference difference = snapshotter_->difference(layer).value();
        EXPECT_TRUE(write_difference_tar(difference, sink).ok());
        return sink.take();
    }

    static void write(const std::string& path, std::string_view bytes) {
        UniqueFd file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC).value();
        ASSERT_TRUE(write_all(file, bytes).ok());
    }

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::unique_ptr<Snapshotter> snapshotter_;
    std::vector<std::string> layers_;
    std::vector<WritableLayer> mounted_;
};

TEST_P(SnapshotterContract, ShowsTheLayersMerged) {
    TarBuilder base;
    base.directory("etc").file("etc/hosts", "base").file("etc/gone", "x").directory("old");
    base.file("old/a", "1").file("old/b", "2").hard_link("old/c", "old/b");
    add_layer(base);
    TarBuilder middle;
    middle.file("etc/.wh.gone", "").directory("old", 0700).file("old/.wh..wh..opq", "");
    middle.file("old/new", "3").symlink("link", "etc");
    add_layer(middle);
    TarBuilder top;
    top.file("etc/hosts", "top", 0600);
    add_layer(top);
    EXPECT_EQ(
        list_tree(mount(prepare("container"))),
        "d 0755 0:0 etc\nf 0600 0:0 etc/hosts = top\nl link -> etc\n"
        "d 0700 0:0 old\nf 0644 0:0 old/new = 3\n");
}

TEST_P(SnapshotterContract, StartsEmptyWithoutLayers) {
    WritableLayer layer = prepare("container");
    std::string path = mount(layer);
    EXPECT_EQ(list_tree(path), "");
    write(path + "/a", "1");
    EXPECT_THAT(changes(layer), ::testing::ElementsAre(Change{"/a", ChangeKind::Added}));
}

TEST_P(SnapshotterContract, GivesTheRootTheImagesMode) {
    TarBuilder base;
    base.directory("./", 0711);
    add_layer(base);
    std::string path = mount(prepare("container"));

    struct stat status {};

    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0711U);
}

TEST_P(SnapshotterContract, KeepsWritesToItself) {
    TarBuilder base;
    base.file("a", "base");
    add_layer(base);
    WritableLayer one = prepare("one");
    WritableLayer two = prepare("two");
    write(mount(one) + "/a", "changed");
    EXPECT_EQ(read_file(mount(two) + "/a").value(), "base");
    EXPECT_EQ(read_file(layers_[0] + "/a").value(), "base");
}

TEST_P(SnapshotterContract, MountsAgainAndFindsWhatWasWritten) {
    TarBuilder base;
    base.file("a", "base");
    add_layer(base);
    WritableLayer layer = prepare("container");
    write(mount(layer) + "/b", "written");
    ASSERT_TRUE(snapshotter_->mount(layer, WriteMode::Normal).ok());
    ASSERT_TRUE(snapshotter_->unmount(layer).ok());
    ASSERT_TRUE(snapshotter_->unmount(layer).ok());
    EXPECT_EQ(read_file(mount(layer) + "/b").value(), "written");
}

TEST_P(SnapshotterContract, MountsVolatileLayersAgain) {
    WritableLayer layer = prepare("step");
    write(mount(layer, WriteMode::Volatile) + "/a", "1");
    ASSERT_TRUE(snapshotter_->unmount(layer).ok());
    EXPECT_EQ(read_file(mount(layer, WriteMode::Volatile) + "/a").value(), "1");
}

TEST_P(SnapshotterContract, ListsChangesAsDockerDoes) {
    TarBuilder base;
    base.directory("etc").file("etc/hosts", "base").file("etc/gone", "x");
    base.directory("var").file("var/log", "x").directory("removed").file("removed/inner", "y");
    base.file("mode", "z").directory("same");
    add_layer(base);
    WritableLayer layer = prepare("container");
    std::string path = mount(layer);
    write(path + "/etc/hosts", "changed");
    ASSERT_EQ(unlink((path + "/etc/gone").c_str()), 0);
    write(path + "/etc/new", "n");
    ASSERT_EQ(chmod((path + "/mode").c_str(), 0600), 0);
    ASSERT_TRUE(remove_tree(path + "/removed").ok());
    ASSERT_EQ(mkdir((path + "/fresh").c_str(), 0755), 0);
    write(path + "/fresh/inner", "i");
    EXPECT_THAT(
        changes(layer),
        ::testing::ElementsAre(
            Change{"/etc", ChangeKind::Modified},
            Change{"/etc/gone", ChangeKind::Deleted},
            Change{"/etc/hosts", ChangeKind::Modified},
            Change{"/etc/new", ChangeKind::Added},
            Change{"/fresh", ChangeKind::Added},
            Change{"/fresh/inner", ChangeKind::Added},
            Change{"/mode", ChangeKind::Modified},
            Change{"/removed", ChangeKind::Deleted}));
}

TEST_P(SnapshotterContract, FindsNoChangesInAnUntouchedLayer) {
    TarBuilder base;
    base.directory("etc").file("etc/hosts", "base").symlink("l", "etc").hard_link("h", "etc/hosts");
    add_layer(base);
    WritableLayer layer = prepare("container");
    mount(layer);
    EXPECT_THAT(changes(layer), ::testing::IsEmpty());
    EXPECT_EQ(snapshotter_->usage(layer).value(), 0U);
}

// What is written, put into a tar and unpacked as one more layer, shows the same tree.
TEST_P(SnapshotterContract, MakesATarThatGivesTheSameTree) {
    TarBuilder base;
    base.directory("etc").file("etc/hosts", "base").file("etc/gone", "x");
    base.directory("old").file("old/a", "1").directory("plain").file("plain/inner", "2");
    base.file("turns", "into a directory");
    add_layer(base);
    WritableLayer layer = prepare("container");
    std::string path = mount(layer);
    ASSERT_EQ(unlink((path + "/etc/gone").c_str()), 0);
    ASSERT_TRUE(remove_tree(path + "/old").ok());
    ASSERT_EQ(mkdir((path + "/old").c_str(), 0700), 0);
    write(path + "/old/new", "n");
    ASSERT_EQ(link((path + "/old/new").c_str(), (path + "/hard").c_str()), 0);
    ASSERT_EQ(symlink("old/new", (path + "/soft").c_str()), 0);
    ASSERT_EQ(mkfifo((path + "/fifo").c_str(), 0600), 0);
    ASSERT_EQ(chown((path + "/plain").c_str(), 70'000, 3), 0);
    ASSERT_EQ(unlink((path + "/turns").c_str()), 0);
    ASSERT_EQ(mkdir((path + "/turns").c_str(), 0755), 0);
    write(path + "/turns/inner", "t");
    std::string expected = list_tree(path);
    std::string tar = difference_tar(layer);
    EXPECT_EQ(difference_tar(layer), tar);

    std::string top = directory_.path() + "/top";
    ASSERT_TRUE(make_directories(top).ok());
    LayerExtractor extractor = LayerExtractor::create(top).value();
    StringSource source(tar);
    ASSERT_TRUE(extractor.extract(source).ok());
    layers_.insert(layers_.begin(), top);
    EXPECT_EQ(list_tree(mount(prepare("again"))), expected);
}

TEST_P(SnapshotterContract, CountsWhatIsWritten) {
    TarBuilder base;
    base.file("base", std::string(1000, 'x'));
    add_layer(base);
    WritableLayer layer = prepare("container");
    write(mount(layer) + "/new", std::string(500, 'y'));
    EXPECT_EQ(snapshotter_->usage(layer).value(), 500U);
}

// Docker allows 127 layers; a build may come near.
TEST_P(SnapshotterContract, MountsAHundredAndTwentySevenLayers) {
    for (int i = 0; i < 127; ++i) {
        TarBuilder tar;
        tar.file("layer" + std::to_string(i), "x");
        add_layer(tar);
    }
    std::string path = mount(prepare("container"));
    EXPECT_EQ(list_directory(path).value().size(), 127U);
}

} // namespace berth::store::testing
