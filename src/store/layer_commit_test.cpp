// SPDX-License-Identifier: Apache-2.0
// Layers of what a container changed, of several layers in one, and whole trees as a tar.
#include "codec/tar.h"
#include "store/layer_store.h"
#include "store/layer_tar.h"
#include "store/testing.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::store {
namespace {

using testing::list_tree;
using testing::TarBuilder;

constexpr auto mount_points =
    std::to_array<std::string_view>({"etc/hosts", "etc/hostname", "proc", "dev"});

class LayerCommitTest : public testing::StoreTest {
  protected:
    void SetUp() override {
        StoreTest::SetUp();
        if (!IsSkipped()) {
            open(SnapshotterKind::Overlay, LayerForm::Directory);
        }
    }

    LayerStore& layers() { return store_->layers(); }

    std::string content_of(const oci::Digest& chain_id) const {
        return root() + "/layers/" + std::string(chain_id.hex()) + "/diff";
    }

    // A writable layer, mounted.
    std::string begin(const std::string& id, const oci::Digest& parent) {
        EXPECT_TRUE(layers().prepare(id, parent).ok());
        return layers().mount(id).value();
    }

    LayerInfo end(const std::string& id) {
        LayerInfo layer = layers().commit(*lease_, id).value();
        EXPECT_TRUE(layers().remove_writable(id).ok());
        return layer;
    }

    static void write(const std::string& path, std::string_view bytes) {
        ASSERT_TRUE(replace_file(path, bytes, 0644, Sync::No).ok()) << path;
    }
};

TEST_F(LayerCommitTest, MountPointsAreNoChange) {
    const LayerInfo base = add_layer(
        {}, TarBuilder().directory("etc").file("etc/passwd", "root").directory("proc").finish());
    const std::string path = begin("c", base.chain_id);
    write(path + "/etc/hosts", "");
    write(path + "/etc/hostname", "");
    ASSERT_EQ(mkdir((path + "/dev").c_str(), 0755), 0);
    EXPECT_FALSE(layers().changes("c").value().empty());
    EXPECT_TRUE(layers().changes("c", mount_points).value().empty());
    EXPECT_FALSE(layers().commit_changes({}, *lease_, "c", mount_points).value().has_value());

    // What is more than a mount point stays, and so does what is beside one.
    write(path + "/etc/hosts", "127.0.0.1 me");
    write(path + "/dev/own", "x");
    const auto layer = layers().commit_changes({}, *lease_, "c", mount_points).value();
    ASSERT_TRUE(layer.has_value());
    EXPECT_EQ(
        list_tree(content_of(layer->chain_id)),
        "d 0755 0:0 dev\nf 0644 0:0 dev/own = x\nd 0755 0:0 etc\n"
        "f 0644 0:0 etc/hosts = 127.0.0.1 me\n");
    ASSERT_TRUE(layers().remove_writable("c").ok());
}

TEST_F(LayerCommitTest, AChangedDirectoryIsAChangeWithoutItsMountPoints) {
    const LayerInfo base = add_layer({}, TarBuilder().directory("etc").finish());
    const std::string path = begin("c", base.chain_id);
    write(path + "/etc/hosts", "");
    ASSERT_EQ(chmod((path + "/etc").c_str(), 0700), 0);
    EXPECT_EQ(
        layers().changes("c", mount_points).value(),
        (std::vector<Change>{{"/etc", ChangeKind::Modified}}));
    ASSERT_TRUE(layers().remove_writable("c").ok());
}

TEST_F(LayerCommitTest, SeveralLayersBecomeOne) {
    const LayerInfo base = add_layer(
        {},
        TarBuilder()
            .directory("kept")
            .file("kept/a", "a")
            .directory("marked")
            .file("gone", "g")
            .directory("replaced")
            .file("replaced/old", "o")
            .directory("was-directory")
            .file("was-directory/x", "x")
            .file("was-file", "f")
            .finish());
    std::string path = begin("one", base.chain_id);
    write(path + "/came-and-went", "1");
    write(path + "/kept/b", "b1");
    ASSERT_EQ(setxattr((path + "/marked").c_str(), "user.mark", "1", 1, 0), 0); // and nothing else
    ASSERT_EQ(unlink((path + "/gone").c_str()), 0);
    ASSERT_TRUE(remove_tree(path + "/replaced").ok());
    ASSERT_TRUE(remove_tree(path + "/was-directory").ok());
    write(path + "/was-directory", "now a file");
    const LayerInfo first = end("one");
    path = begin("two", first.chain_id);
    ASSERT_EQ(unlink((path + "/came-and-went").c_str()), 0);
    write(path + "/kept/b", "b2");
    ASSERT_EQ(mkdir((path + "/replaced").c_str(), 0755), 0);
    write(path + "/replaced/new", "n");
    ASSERT_EQ(unlink((path + "/was-file").c_str()), 0);
    ASSERT_EQ(mkdir((path + "/was-file").c_str(), 0755), 0);
    const LayerInfo second = end("two");

    path = begin("whole", second.chain_id);
    const std::string wanted = list_tree(path);
    UniqueFd whole = open_file(path, O_RDONLY | O_DIRECTORY).value();
    const LayerInfo squashed =
        layers().squash({}, *lease_, std::move(whole), second.chain_id, base.chain_id).value();
    ASSERT_TRUE(layers().remove_writable("whole").ok());
    EXPECT_EQ(squashed.parent, base.chain_id);
    EXPECT_EQ(
        list_tree(content_of(squashed.chain_id)),
        "w gone\nd 0755 0:0 kept\nf 0644 0:0 kept/b = b2\nd 0755 0:0 marked\nd 0755 0:0 "
        "replaced\no replaced\n"
        "f 0644 0:0 replaced/new = n\nf 0644 0:0 was-directory = now a file\n"
        "d 0755 0:0 was-file\no was-file\n");
    path = begin("squashed", squashed.chain_id);
    EXPECT_EQ(list_tree(path), wanted);
    ASSERT_TRUE(layers().remove_writable("squashed").ok());

    // On nothing: all of it.
    path = begin("again", second.chain_id);
    whole = open_file(path, O_RDONLY | O_DIRECTORY).value();
    const LayerInfo alone =
        layers().squash({}, *lease_, std::move(whole), second.chain_id, {}).value();
    ASSERT_TRUE(layers().remove_writable("again").ok());
    EXPECT_EQ(list_tree(content_of(alone.chain_id)), wanted);
}

TEST_F(LayerCommitTest, AWholeRootIsOneTar) {
    const LayerInfo base = add_layer(
        {},
        TarBuilder()
            .directory("d")
            .file("d/a", "a")
            .hard_link("d/b", "d/a")
            .file("x", "x")
            .finish());
    const std::string path = begin("c", base.chain_id);
    ASSERT_EQ(unlink((path + "/x").c_str()), 0);
    ASSERT_EQ(symlink("/etc/passwd", (path + "/out").c_str()), 0);
    write(path + "/new", "new");
    StringSink sink;
    ASSERT_TRUE(layers().write_root({}, "c", nullptr, sink).ok());
    StringSource source(sink.take());
    tar::Reader reader(source);
    std::map<std::string, tar::Header> found;
    while (auto header = reader.next().value()) {
        found.emplace(header->name, *header);
    }
    EXPECT_EQ(found.size(), 5U);
    EXPECT_EQ(found.at("out").link_name, "/etc/passwd");
    EXPECT_EQ(found.at("d/b").type, tar::EntryType::HardLink);
    EXPECT_EQ(found.at("new").size, 3U);
    EXPECT_FALSE(found.contains("x"));
    ASSERT_TRUE(layers().remove_writable("c").ok());
    EXPECT_EQ(
        layers().write_root({}, "c", nullptr, sink).error().kind(),
        ErrorKind::NotFound); // gone before
}

TEST_F(LayerCommitTest, AStopEndsIt) {
    const LayerInfo base = add_layer({}, TarBuilder().file("a", "a").finish());
    // More than a pipe holds: the writer of the tar is at work when its reader gives up.
    write(begin("c", base.chain_id) + "/b", std::string(1U << 20, 'b'));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(
        layers().commit_changes(stop.get_token(), *lease_, "c", {}).error().kind(),
        ErrorKind::Cancelled);
    StringSink sink;
    EXPECT_EQ(
        layers().write_root(stop.get_token(), "c", nullptr, sink).error().kind(),
        ErrorKind::Cancelled);
    ASSERT_TRUE(layers().remove_writable("c").ok());
    layers().wait_for_deletions();
    EXPECT_TRUE(list_directory(root() + "/tmp").value().empty());
}

} // namespace
} // namespace berth::store
