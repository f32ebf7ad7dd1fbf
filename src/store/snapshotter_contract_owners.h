// SPDX-License-Identifier: Apache-2.0
// The part of the snapshotters' contract that is about containers in user namespaces.
#pragma once

#include "kernel/mount.h"
#include "store/snapshotter_contract.h"

#include <memory>

namespace berth::store::testing {

class SnapshotterOwners : public SnapshotterContract {
  protected:
    void SetUp() override {
        SnapshotterContract::SetUp();
        if (IsSkipped() || HasFatalFailure()) {
            return;
        }
        owners_ = kernel::OwnerMap::create({{{.inside = 0, .outside = 100'000, .size = 1000}},
                                            {{.inside = 0, .outside = 200'000, .size = 1000}}})
                      .value();
        const UniqueFd place = kernel::clone_mount(directory_, kernel::Recursive::No).value();
        if (Result<void> mapped = owners_->apply_to(place); !mapped.ok()) {
            GTEST_SKIP() << mapped.error().message();
        }
        TarBuilder base;
        base.add({.name = "d", .type = tar::EntryType::Directory, .mode = 0750, .uid = 5});
        base.add({.name = "d/file", .mode = 0600, .uid = 33, .gid = 34});
        add_layer(base);
    }

    WritableLayer mapped(WritableLayer layer) const {
        layer.owners = owners_;
        return layer;
    }

    // "uid:gid", without following a link.
    static std::string owner_of(const std::string& path) {
        struct stat status {};

        EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
        return std::to_string(status.st_uid) + ":" + std::to_string(status.st_gid);
    }

    std::shared_ptr<const kernel::OwnerMap> owners_;
};

TEST_P(SnapshotterOwners, ShowsFilesAsThoseOfAUserNamespace) {
    const std::string root = mount(mapped(prepare("container")));
    EXPECT_EQ(owner_of(root), "100000:200000");
    EXPECT_EQ(owner_of(root + "/d"), "100005:200000");
    EXPECT_EQ(owner_of(root + "/d/file"), "100033:200034");
}

TEST_P(SnapshotterOwners, KeepsTheContainersOwnersOnTheDisk) {
    const WritableLayer layer = prepare("container");
    const std::string root = mount(mapped(layer));
    write(root + "/new", "1");
    ASSERT_EQ(chown((root + "/new").c_str(), 100'005, 200'006), 0);
    write(root + "/d/file", "changed"); // copied up
    EXPECT_EQ(owner_of(root + "/d/file"), "100033:200034");
    EXPECT_THAT(
        changes(layer),
        ::testing::ElementsAre(
            Change{"/d/file", ChangeKind::Modified}, Change{"/new", ChangeKind::Added}));
    ASSERT_TRUE(snapshotter_->unmount(layer).ok());
    const std::string plain = mount(layer);
    EXPECT_EQ(owner_of(plain + "/new"), "5:6");
    EXPECT_EQ(owner_of(plain + "/d"), "5:0");
    EXPECT_EQ(owner_of(plain + "/d/file"), "33:34");
    EXPECT_EQ(read_file(plain + "/d/file").value(), "changed");
}

TEST_P(SnapshotterOwners, DoesNotTakeAMountForOneWithOtherOwners) {
    const WritableLayer layer = prepare("container");
    mount(mapped(layer));
    EXPECT_EQ(owner_of(mount(mapped(layer))), "100000:200000");
    WritableLayer other = layer;
    other.owners = kernel::OwnerMap::create({{{.inside = 0, .outside = 500'000, .size = 1000}},
                                             {{.inside = 0, .outside = 500'000, .size = 1000}}})
                       .value();
    const Result<std::string> mounted = snapshotter_->mount(other, WriteMode::Normal);
    ASSERT_FALSE(mounted.ok());
    EXPECT_EQ(mounted.error().kind(), ErrorKind::Conflict);
    ASSERT_TRUE(snapshotter_->unmount(layer).ok());
    EXPECT_EQ(owner_of(mount(other)), "500000:500000");
    ASSERT_TRUE(snapshotter_->unmount(layer).ok());
    EXPECT_EQ(owner_of(mount(layer)), "0:0");
}

TEST_P(SnapshotterOwners, MountsManyLayersForAUserNamespace) {
    for (int i = 0; i < 100; ++i) {
        TarBuilder tar;
        tar.file("layer" + std::to_string(i), "x");
        add_layer(tar);
    }
    const std::string root = mount(mapped(prepare("container")));
    EXPECT_EQ(list_directory(root).value().size(), 101U);
    EXPECT_EQ(owner_of(root + "/layer0"), "100000:200000");
}

} // namespace berth::store::testing
