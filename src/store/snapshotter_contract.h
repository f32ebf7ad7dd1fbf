// SPDX-License-Identifier: Apache-2.0
// What every snapshotter must do, as a suite of parameterized tests: see snapshotter_test.cpp.
#pragma once

#include "store/layer_extractor.h"
#include "store/layer_tar.h"
#include "store/snapshotter.h"
#include "store/testing.h"
#include "store/tree_removal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::store::testing {

struct SnapshotterVariant {
    std::function<std::unique_ptr<Snapshotter>()> make;
    // Where its layers lie; the reason where there is no such place.
    std::function<Result<std::string>()> place = [] { return Result(std::string("/tmp")); };
};

class SnapshotterContract : public ::testing::TestWithParam<SnapshotterVariant> {
  protected:
    void SetUp() override {
        if (!is_root()) {
            GTEST_SKIP() << "needs root: mounts, devices";
        }
        Result<std::string> place = GetParam().place();
        if (!place.ok() && place.error().kind() == ErrorKind::NotImplemented) {
            GTEST_SKIP() << place.error().message();
        }
        ASSERT_TRUE(place.ok()) << place.error().message();
        made_ = TemporaryDirectory::create(*place).value();
        directory_ = made_->path();
        snapshotter_ = GetParam().make();
    }

    void TearDown() override {
        for (const WritableLayer& layer : mounted_) {
            EXPECT_TRUE(snapshotter_->unmount(layer).ok());
        }
        if (made_) { // subvolumes and all
            EXPECT_TRUE(remove_tree_of(directory_).ok());
        }
    }

    // A layer directory; the newest is the topmost.
    void add_layer(TarBuilder& tar) {
        std::string path = directory_ + "/layer" + std::to_string(layers_.size());
        ASSERT_TRUE(make_directories(path).ok());
        LayerExtractor extractor = LayerExtractor::create(path).value();
        StringSource source(tar.finish());
        Result<void> extracted = extractor.extract(source);
        ASSERT_TRUE(extracted.ok()) << extracted.error().message();
        layers_.insert(layers_.begin(), path);
    }

    WritableLayer prepare(const std::string& id) {
        WritableLayer layer{directory_ + "/" + id, layers_};
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

    std::optional<TemporaryDirectory> made_;
    std::string directory_;
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

TEST_P(SnapshotterContract, ShowsTheTopmostLayersAttributesOfADirectory) {
    TarBuilder base;
    base.add(
        {.name = "d",
         .type = tar::EntryType::Directory,
         .mode = 0700,
         .uid = 5,
         .xattrs = {{"user.old", "1"}, {"user.both", "1"}}});
    base.file("d/a", "1");
    add_layer(base);
    TarBuilder top;
    top.add(
        {.name = "d",
         .type = tar::EntryType::Directory,
         .mode = 0750,
         .uid = 70'000,
         .mtime = 1'234'567'890'000'000'001,
         .xattrs = {{"user.both", "2"}, {"user.new", "2"}}});
    add_layer(top);
    WritableLayer layer = prepare("container");
    std::string path = mount(layer) + "/d";

    struct stat status {};

    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0750U);
    EXPECT_EQ(status.st_uid, 70'000U);
    EXPECT_EQ(status.st_mtim.tv_sec, 1'234'567'890);
    EXPECT_EQ(status.st_mtim.tv_nsec, 1);
    char value[8]{};
    EXPECT_LT(getxattr(path.c_str(), "user.old", value, sizeof value), 0);
    EXPECT_EQ(getxattr(path.c_str(), "user.both", value, sizeof value), 1);
    EXPECT_EQ(value[0], '2');
    EXPECT_EQ(getxattr(path.c_str(), "user.new", value, sizeof value), 1);
    EXPECT_EQ(read_file(path + "/a").value(), "1");
    EXPECT_THAT(changes(layer), ::testing::IsEmpty());
}

// The image's own entries decide, whatever lies below them.
TEST_P(SnapshotterContract, ReplacesEveryKindByEveryOther) {
    TarBuilder base;
    TarBuilder top;
    for (std::string kind : {"file", "directory", "link"}) {
        for (std::string other : {"file", "directory", "link"}) {
            for (auto& [tar, what] :
                 {std::pair<TarBuilder*, std::string>(&base, kind), {&top, other}}) {
                const std::string name = kind + "-" + other;
                if (what == "file") {
                    tar->file(name, kind + other);
                } else if (what == "link") {
                    tar->symlink(name, "/" + kind + other);
                } else {
                    tar->directory(name).file(name + "/" + kind + other, "x");
                }
            }
        }
    }
    add_layer(base);
    add_layer(top);
    EXPECT_EQ(
        list_tree(mount(prepare("container"))),
        "d 0755 0:0 directory-directory\n"
        "f 0644 0:0 directory-directory/directorydirectory = x\n"
        "f 0644 0:0 directory-file = directoryfile\n"
        "l directory-link -> /directorylink\n"
        "d 0755 0:0 file-directory\nf 0644 0:0 file-directory/filedirectory = x\n"
        "f 0644 0:0 file-file = filefile\nl file-link -> /filelink\n"
        "d 0755 0:0 link-directory\nf 0644 0:0 link-directory/linkdirectory = x\n"
        "f 0644 0:0 link-file = linkfile\nl link-link -> /linklink\n");
}

TEST_P(SnapshotterContract, HidesEverythingBelowAnOpaqueRoot) {
    TarBuilder base;
    base.file("a", "1").directory("d").file("d/f", "1");
    add_layer(base);
    TarBuilder top;
    top.file(".wh..wh..opq", "").file("b", "2");
    add_layer(top);
    WritableLayer layer = prepare("container");
    EXPECT_EQ(list_tree(mount(layer)), "f 0644 0:0 b = 2\n");
    EXPECT_THAT(changes(layer), ::testing::IsEmpty());
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
