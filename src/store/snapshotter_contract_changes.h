// SPDX-License-Identifier: Apache-2.0
// The part of the contract that tells what a container changed.
#pragma once

#include "store/snapshotter_contract.h"

namespace berth::store::testing {

// setcap and setfacl change neither size nor time of what they change.
TEST_P(SnapshotterContract, FindsChangesOfAttributesAlone) {
    TarBuilder base;
    base.directory("d").file("d/f", "1").file("d/same", "1");
    add_layer(base);
    WritableLayer layer = prepare("container");
    std::string path = mount(layer) + "/d";
    ASSERT_EQ(setxattr((path + "/f").c_str(), "user.note", "1", 1, 0), 0);
    ASSERT_EQ(setxattr(path.c_str(), "user.note", "2", 1, 0), 0);
    EXPECT_THAT(
        changes(layer),
        ::testing::ElementsAre(
            Change{"/d", ChangeKind::Modified}, Change{"/d/f", ChangeKind::Modified}));
    StringSource source(difference_tar(layer));
    tar::Reader reader(source);
    for (const char* name : {"d", "d/f"}) {
        std::optional<tar::Header> header = reader.next().value();
        ASSERT_TRUE(header.has_value());
        EXPECT_EQ(header->name, name);
        EXPECT_TRUE(header->xattrs.contains("user.note"));
    }
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

    std::string top = directory_ + "/top";
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

} // namespace berth::store::testing
