// SPDX-License-Identifier: Apache-2.0
// What the contract does not say about subvolumes: that they go, whatever a container did with
// them, and that layers and containers on them survive kills, damage and another driver.
#include "base/file.h"
#include "kernel/btrfs.h"
#include "store/snapshotters/btrfs.h"
#include "store/store_check.h"
#include "store/testing.h"
#include "store/testing_btrfs.h"
#include "store/tree_removal.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cstddef>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::store::testing {
namespace {

using kernel::SubvolumeMode;

class BtrfsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!is_root()) {
            GTEST_SKIP() << "needs root: mounts";
        }
        Result<std::string> place = btrfs_place();
        if (!place.ok() && place.error().kind() == ErrorKind::NotImplemented) {
            GTEST_SKIP() << place.error().message();
        }
        ASSERT_TRUE(place.ok()) << place.error().message();
        root_ = TemporaryDirectory::create(*place).value().release();
    }

    void TearDown() override {
        store_.reset();
        EXPECT_TRUE(root_.empty() || remove_tree_of(root_).ok());
    }

    static UniqueFd open_directory(const std::string& path) {
        return open_file(path, O_RDONLY | O_DIRECTORY).value();
    }

    static void subvolume(const std::string& parent, const std::string& name) {
        Result<void> made = kernel::create_subvolume(open_directory(parent), name);
        ASSERT_TRUE(made.ok()) << made.error().message();
    }

    static void write(const std::string& path) {
        UniqueFd file = open_file(path, O_WRONLY | O_CREAT).value();
        ASSERT_TRUE(write_all(file, "x").ok());
    }

    void open(SnapshotterKind kind = SnapshotterKind::Btrfs) {
        store_.reset();
        auto store = Store::open({.root = root_ + "/data", .snapshotter = kind});
        ASSERT_TRUE(store.ok()) << store.error().message();
        store_ = std::move(*store);
    }

    LayerInfo add_layer(const oci::Digest& parent, std::string tar) {
        Lease lease = store_->leases().create();
        StringSource source(std::move(tar));
        auto layer = store_->layers().apply(lease, parent, source, {.keep_blob = true});
        EXPECT_TRUE(layer.ok()) << (layer.ok() ? "" : layer.error().message());
        return layer.ok() ? *layer : LayerInfo{};
    }

    std::string mount(const std::string& id, const oci::Digest& layer) {
        Result<void> prepared = store_->layers().prepare(id, layer);
        EXPECT_TRUE(prepared.ok()) << (prepared.ok() ? "" : prepared.error().message());
        return store_->layers().mount(id).value_or("");
    }

    std::string layer_path(const LayerInfo& layer) const {
        return root_ + "/data/layers/" + std::string(layer.chain_id.hex());
    }

    std::string root_;
    std::unique_ptr<Store> store_;
};

// What a container may do: nest them, fill them, nest them deep below directories, and make them
// read-only, each of which keeps a simple removal from working.
TEST_F(BtrfsTest, RemovesSubvolumesInSubvolumes) {
    const std::string top = root_ + "/top";
    ASSERT_TRUE(make_directories(top).ok());
    subvolume(top, "container");
    const std::string container = top + "/container";
    std::string inside = container;
    for (int i = 0; i < 5; ++i) {
        subvolume(inside, "nested");
        inside += "/nested";
        write(inside + "/file");
    }
    std::string deep = container;
    for (int i = 0; i < 80; ++i) {
        deep += "/d";
        ASSERT_EQ(mkdir(deep.c_str(), 0755), 0);
        if (i % 20 == 19) {
            subvolume(deep, "s");
            deep += "/s";
        }
    }
    UniqueFd source = open_directory(container + "/nested/nested");
    UniqueFd into = open_directory(container + "/nested");
    ASSERT_TRUE(kernel::snapshot_subvolume(source, into, "copy", SubvolumeMode::ReadOnly).ok());
    // Read-only although something is in it.
    std::uint64_t flags = 1U << 1U; // BTRFS_SUBVOL_RDONLY
    ASSERT_EQ(ioctl(source.get(), _IOW(0x94, 26, std::uint64_t), &flags), 0);
    Result<void> removed = remove_tree_of(top);
    ASSERT_TRUE(removed.ok()) << removed.error().message();
    EXPECT_EQ(list_directory(root_).value(), std::vector<std::string>{});
}

TEST_F(BtrfsTest, RemovesASubvolumeByItsOwnName) {
    subvolume(root_, "one");
    write(root_ + "/one/file");
    subvolume(root_ + "/one", "two");
    ASSERT_TRUE(remove_tree_of(root_ + "/one").ok());
    EXPECT_FALSE(exists(root_ + "/one"));
}

TEST_F(BtrfsTest, SharesWhatLayersAndContainersHave) {
    open();
    EXPECT_EQ(store_->layers().driver_name(), "btrfs");
    EXPECT_EQ(store_->layers().form_description(), "directory");
    LayerInfo base = add_layer({}, TarBuilder().file("a", "1").file("gone", "1").finish());
    LayerInfo top =
        add_layer(base.chain_id, TarBuilder().file("b", "2").file(".wh.gone", "").finish());
    std::string path = mount("one", top.chain_id);
    EXPECT_EQ(list_tree(path), "f 0644 0:0 a = 1\nf 0644 0:0 b = 2\n");
    EXPECT_TRUE(kernel::is_subvolume(open_directory(path)));
    EXPECT_TRUE(exists(layer_path(base) + "/diff.subvolume"));
    EXPECT_FALSE(exists(layer_path(top) + "/diff.making"));
    // Nobody writes to what others stand on.
    EXPECT_LT(::open((layer_path(top) + "/diff.subvolume/a").c_str(), O_WRONLY | O_CLOEXEC), 0);
    ASSERT_TRUE(store_->layers().remove_writable("one").ok());
    ASSERT_TRUE(store_->garbage_collector().collect().ok());
    store_->layers().wait_for_deletions();
    EXPECT_EQ(list_directory(root_ + "/data/layers").value(), std::vector<std::string>{});
    EXPECT_EQ(list_directory(root_ + "/data/tmp").value(), std::vector<std::string>{});
}

TEST_F(BtrfsTest, RemovesWhatAContainerMade) {
    open();
    LayerInfo base = add_layer({}, TarBuilder().file("a", "1").finish());
    std::string path = mount("one", base.chain_id);
    subvolume(path, "own");
    subvolume(path + "/own", "inner");
    EXPECT_EQ(
        store_->layers().changes("one").value(),
        (std::vector<Change>{{"/own", ChangeKind::Added}, {"/own/inner", ChangeKind::Added}}));
    ASSERT_TRUE(store_->layers().remove_writable("one").ok());
    store_->layers().wait_for_deletions();
    EXPECT_EQ(list_directory(root_ + "/data/snapshots").value(), std::vector<std::string>{});
    EXPECT_EQ(list_directory(root_ + "/data/tmp").value(), std::vector<std::string>{});
}

TEST_F(BtrfsTest, StartsOverWhereAnEngineWasKilled) {
    open();
    LayerInfo base = add_layer({}, TarBuilder().file("a", "1").finish());
    subvolume(layer_path(base), "diff.making");
    write(layer_path(base) + "/diff.making/half");
    EXPECT_EQ(list_tree(mount("one", base.chain_id)), "f 0644 0:0 a = 1\n");
}

TEST_F(BtrfsTest, ContainersSeeARepairedLayer) {
    open();
    LayerInfo base = add_layer({}, TarBuilder().file("a", "good").finish());
    {
        Lease lease = store_->leases().create();
        ASSERT_TRUE(store_->layers().ensure_blob(lease, base.chain_id).ok());
    }
    LayerInfo top = add_layer(base.chain_id, TarBuilder().file("b", "2").finish());
    const std::string file = layer_path(base) + "/diff/a";

    struct stat before {};

    ASSERT_EQ(stat(file.c_str(), &before), 0);
    UniqueFd damaged = open_file(file, O_WRONLY).value();
    ASSERT_TRUE(write_all(damaged, "evil").ok());
    const std::array<timespec, 2> times{before.st_mtim, before.st_mtim};
    ASSERT_EQ(futimens(damaged.get(), times.data()), 0);
    damaged.reset();
    EXPECT_EQ(read_file(mount("before", top.chain_id) + "/a").value(), "evil");
    ASSERT_TRUE(store_->layers().unmount("before").ok());
    ASSERT_TRUE(store_->layers().restore(base.chain_id).ok());
    EXPECT_EQ(read_file(mount("after", top.chain_id) + "/a").value(), "good");
}

TEST_F(BtrfsTest, AnotherDriverLeavesContainersAlone) {
    open();
    LayerInfo base = add_layer({}, TarBuilder().file("a", "1").finish());
    mount("one", base.chain_id);
    store_.reset();
    auto refused = Store::open({.root = root_ + "/data", .snapshotter = SnapshotterKind::Overlay});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::Conflict);
    EXPECT_NE(refused.error().message().find("made by storage driver \"btrfs\""), std::string::npos)
        << refused.error().message();
    open(SnapshotterKind::Automatic);
    EXPECT_EQ(store_->layers().driver_name(), "btrfs");
    ASSERT_TRUE(store_->layers().remove_writable("one").ok());
    open(SnapshotterKind::Automatic);
    EXPECT_EQ(store_->layers().driver_name(), "overlay2");
    EXPECT_EQ(list_tree(mount("two", base.chain_id)), "f 0644 0:0 a = 1\n");
    ASSERT_TRUE(store_->layers().remove_writable("two").ok());
}

// A process that may not mount, as in a container.
std::string driver_without_mounts(const std::string& root) {
    std::array<sock_filter, 5> program{
        {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsopen, 1, 0),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount, 0, 1),
         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
    Pipe pipe = Pipe::create().value();
    const pid_t child = fork();
    if (child == 0) {
        const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
        auto chosen = create_snapshotter(SnapshotterKind::Automatic, root);
        [[maybe_unused]] const Result<void> told =
            write_all(pipe.write_end, chosen.ok() ? (*chosen)->name() : chosen.error().message());
        _exit(0);
    }
    pipe.write_end.reset();
    std::string name = read_all(pipe.read_end, 4096).value();
    waitpid(child, nullptr, 0);
    return name;
}

TEST_F(BtrfsTest, IsTakenWhereOverlayIsImpossible) {
    EXPECT_EQ(driver_without_mounts(root_), "btrfs");
    EXPECT_EQ(list_directory(root_).value(), std::vector<std::string>{});
    TemporaryDirectory elsewhere = TemporaryDirectory::create("/tmp").value();
    EXPECT_EQ(driver_without_mounts(elsewhere.path()), "vfs");
    EXPECT_EQ(
        create_snapshotter(SnapshotterKind::Btrfs, elsewhere.path()).error().message(),
        elsewhere.path() + " is not on a btrfs file system");
}

} // namespace
} // namespace berth::store::testing
