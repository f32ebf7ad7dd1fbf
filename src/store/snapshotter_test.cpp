// SPDX-License-Identifier: Apache-2.0
#include "store/snapshotter.h"
#include "store/snapshotter_contract.h"
#include "store/snapshotter_contract_changes.h"
#include "store/snapshotter_contract_owners.h"
#include "store/snapshotters/btrfs.h"
#include "store/snapshotters/copy.h"
#include "store/snapshotters/overlay.h"
#include "store/testing_btrfs.h"

#include <gtest/gtest.h>

namespace berth::store::testing {
namespace {

std::unique_ptr<Snapshotter> make_overlay() {
    return std::make_unique<OverlaySnapshotter>();
}

std::unique_ptr<Snapshotter> make_legacy_overlay() {
    return std::make_unique<OverlaySnapshotter>(OverlaySnapshotter::Interface::Legacy);
}

std::unique_ptr<Snapshotter> make_copy() {
    return std::make_unique<CopySnapshotter>();
}

std::unique_ptr<Snapshotter> make_btrfs() {
    return std::make_unique<BtrfsSnapshotter>();
}

using Variant = SnapshotterVariant;

INSTANTIATE_TEST_SUITE_P(Overlay, SnapshotterContract, ::testing::Values(Variant{make_overlay}));
INSTANTIATE_TEST_SUITE_P(
    LegacyOverlay, SnapshotterContract, ::testing::Values(Variant{make_legacy_overlay}));
INSTANTIATE_TEST_SUITE_P(Copy, SnapshotterContract, ::testing::Values(Variant{make_copy}));
INSTANTIATE_TEST_SUITE_P(
    Btrfs, SnapshotterContract, ::testing::Values(Variant{make_btrfs, btrfs_place}));
INSTANTIATE_TEST_SUITE_P(
    OverlayOnBtrfs, SnapshotterContract, ::testing::Values(Variant{make_overlay, btrfs_place}));
INSTANTIATE_TEST_SUITE_P(
    CopyOnBtrfs, SnapshotterContract, ::testing::Values(Variant{make_copy, btrfs_place}));

INSTANTIATE_TEST_SUITE_P(
    All,
    SnapshotterOwners,
    ::testing::Values(
        Variant{make_overlay},
        Variant{make_legacy_overlay},
        Variant{make_copy},
        Variant{make_btrfs, btrfs_place},
        Variant{make_overlay, btrfs_place}));

TEST(SnapshotterKind, KnowsDockersNames) {
    EXPECT_EQ(parse_snapshotter_kind("").value(), SnapshotterKind::Automatic);
    EXPECT_EQ(parse_snapshotter_kind("btrfs").value(), SnapshotterKind::Btrfs);
    EXPECT_EQ(parse_snapshotter_kind("overlay2").value(), SnapshotterKind::Overlay);
    EXPECT_EQ(parse_snapshotter_kind("vfs").value(), SnapshotterKind::Copy);
    EXPECT_EQ(parse_snapshotter_kind("zfs").error().kind(), ErrorKind::InvalidArgument);
}

TEST(OverlaySnapshotter, ProbesTheFileSystem) {
    if (!is_root()) {
        GTEST_SKIP() << "needs root: mounts";
    }
    TemporaryDirectory directory = TemporaryDirectory::create("/tmp").value();
    EXPECT_TRUE(OverlaySnapshotter().probe(directory.path()).ok());
    EXPECT_TRUE(list_directory(directory.path()).value().empty());
    Result<void> refused = OverlaySnapshotter().probe("/proc");
    EXPECT_FALSE(refused.ok());
}

// Long data roots do not fit into a mount parameter.
TEST(OverlaySnapshotter, MountsBelowALongPath) {
    if (!is_root()) {
        GTEST_SKIP() << "needs root: mounts";
    }
    TemporaryDirectory directory = TemporaryDirectory::create("/tmp").value();
    std::string root = directory.path() + "/" + std::string(200, 'a') + "/" + std::string(200, 'b');
    WritableLayer layer{root + "/layer", {root + "/lower:with,odd\\names"}};
    ASSERT_TRUE(make_directories(layer.directory).ok());
    ASSERT_TRUE(make_directories(layer.layers[0] + "/inner").ok());
    OverlaySnapshotter snapshotter;
    ASSERT_TRUE(snapshotter.prepare(layer).ok());
    Result<std::string> path = snapshotter.mount(layer, WriteMode::Normal);
    ASSERT_TRUE(path.ok()) << path.error().message();
    EXPECT_TRUE(exists(*path + "/inner"));
    EXPECT_TRUE(snapshotter.unmount(layer).ok());
}

} // namespace
} // namespace berth::store::testing
