// SPDX-License-Identifier: Apache-2.0
// Many layers of deep trees with few descriptors.
#include "base/file.h"
#include "store/directory_walk.h"
#include "store/testing.h"

#include <gtest/gtest.h>

#include <fstream>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace berth::store {
namespace {

using testing::TarBuilder;

// Eighteen times as many directories as descriptors.
constexpr int layer_count = 20;
constexpr int tree_depth = 180;
constexpr rlim_t descriptor_limit = 200;

std::string deep_path(int levels) {
    std::string path = "deep";
    for (int i = 1; i < levels; ++i) {
        path += "/d";
    }
    return path;
}

class FewDescriptors {
  public:
    FewDescriptors() {
        getrlimit(RLIMIT_NOFILE, &before_);
        rlimit few = before_;
        few.rlim_cur = descriptor_limit;
        setrlimit(RLIMIT_NOFILE, &few);
    }

    ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

  private:
    rlimit before_{};
};

class DirectoryWalkTest : public testing::StoreTest {
  protected:
    // Every layer has all the directories, and a file of its own at the end and half way.
    void make_layers() {
        for (int layer = 0; layer < layer_count; ++layer) {
            TarBuilder tar;
            for (int level = 1; level <= tree_depth; ++level) {
                tar.directory(deep_path(level));
            }
            tar.file(deep_path(tree_depth) + "/end" + std::to_string(layer), "end");
            tar.file(deep_path(tree_depth / 2) + "/half" + std::to_string(layer), "half");
            top_ = add_layer(top_, tar.finish()).chain_id;
            if (layer == 1) {
                base_ = top_;
            }
        }
    }

    oci::Digest top_;
    oci::Digest base_;
};

TEST_F(DirectoryWalkTest, CopiesAndComparesManyDeepLayersWithFewDescriptors) {
    open(SnapshotterKind::Copy, LayerForm::Directory);
    make_layers();
    const FewDescriptors few;
    auto prepared = layers().prepare("box", top_);
    ASSERT_TRUE(prepared.ok()) << prepared.error().message();
    const std::string root = layers().mount("box").value();
    for (int layer = 0; layer < layer_count; ++layer) {
        const std::string number = std::to_string(layer);
        ASSERT_TRUE(exists(root + "/" + deep_path(tree_depth) + "/end" + number));
        ASSERT_TRUE(exists(root + "/" + deep_path(tree_depth / 2) + "/half" + number));
    }
    std::ofstream(root + "/" + deep_path(tree_depth) + "/new") << "new";
    ASSERT_EQ(unlink((root + "/" + deep_path(tree_depth / 2) + "/half5").c_str()), 0);
    const auto changes = layers().changes("box").value();
    ASSERT_EQ(changes.size(), 4U); // the two, and the directories that they are in
    auto committed = layers().commit(*lease_, "box");
    ASSERT_TRUE(committed.ok()) << committed.error().message();
}

TEST_F(DirectoryWalkTest, SquashesManyDeepLayersWithFewDescriptors) {
    open(SnapshotterKind::Copy, LayerForm::Directory);
    make_layers();
    ASSERT_TRUE(layers().prepare("box", top_).ok());
    const std::string root = layers().mount("box").value();
    const FewDescriptors few;
    auto squashed =
        layers().squash({}, *lease_, open_file(root, O_RDONLY | O_DIRECTORY).value(), top_, base_);
    ASSERT_TRUE(squashed.ok()) << squashed.error().message();
    EXPECT_EQ(layers().chain(squashed->chain_id).value().size(), 3U);
    EXPECT_EQ(squashed->size, (layer_count - 2) * std::string("endhalf").size());
}

TEST_F(DirectoryWalkTest, OpensAgainBelowPathsThatAreTooLongForTheKernel) {
    UniqueFd top = open_file(root(), O_RDONLY | O_DIRECTORY).value();
    DirectorySet set;
    ASSERT_TRUE(set.add_root(top.duplicate().value()).ok());
    const std::string name(200, 'n');
    for (int level = 0; level < 60; ++level) { // 12,000 bytes
        ASSERT_EQ(mkdirat(set[0].get(), name.c_str(), 0700), 0);
        DirectorySet child = set.below(name);
        child.add(set, 0, UniqueFd(openat(set[0].get(), name.c_str(), O_RDONLY | O_DIRECTORY)));
        set = std::move(child);
    }

    struct stat before {};

    struct stat after {};

    ASSERT_EQ(fstat(set[0].get(), &before), 0);
    set.close();
    ASSERT_TRUE(set.reopen().ok());
    ASSERT_EQ(fstat(set[0].get(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
}

} // namespace
} // namespace berth::store
