// SPDX-License-Identifier: Apache-2.0
// Walks over trees that belong to containers. Needs root.
#include "base/file.h"
#include "engine/volume_owner.h"

#include <gtest/gtest.h>

#include <array>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::engine {
namespace {

constexpr const char* container_label = "system_u:object_r:container_file_t:s0";

class VolumeOwner : public testing::Test {
  protected:
    void SetUp() override {
        if (geteuid() != 0) {
            GTEST_SKIP() << "needs root";
        }
        ASSERT_TRUE(make_directories(tree() + "/a/b").ok());
        ASSERT_TRUE(replace_file(tree() + "/a/b/file", "x").ok());
        ASSERT_TRUE(replace_file(folder_.path() + "/outside", "x").ok());
        ASSERT_EQ(symlink("../../outside", (tree() + "/a/link").c_str()), 0);
        ASSERT_EQ(symlink("..", (tree() + "/a/up").c_str()), 0);
    }

    std::string tree() const { return folder_.path() + "/tree"; }

    uid_t owner(const std::string& path) const {
        struct stat status {};

        EXPECT_EQ(lstat((folder_.path() + path).c_str(), &status), 0);
        return status.st_uid;
    }

    std::string label(const std::string& path) const {
        std::array<char, 256> value{};
        const ssize_t size = lgetxattr(
            (folder_.path() + path).c_str(), "security.selinux", value.data(), value.size());
        return size < 0 ? "" : std::string(value.data(), static_cast<std::size_t>(size));
    }

    TemporaryDirectory folder_ = TemporaryDirectory::create("/tmp").value();
};

TEST_F(VolumeOwner, ChangesATreeAndNothingThatItsLinksLeadTo) {
    const UniqueFd place = open_file(tree(), O_PATH).value();
    ASSERT_TRUE(change_owner(place, 7, 8).ok());
    for (const char* path : {"/tree", "/tree/a", "/tree/a/b", "/tree/a/b/file", "/tree/a/link"}) {
        EXPECT_EQ(owner(path), 7U) << path;
    }
    EXPECT_EQ(owner("/outside"), 0U);
    EXPECT_EQ(owner(""), 0U);
}

TEST_F(VolumeOwner, ChangesASingleFile) {
    const UniqueFd place = open_file(tree() + "/a/b/file", O_PATH).value();
    ASSERT_TRUE(change_owner(place, 7, 8).ok());
    EXPECT_EQ(owner("/tree/a/b/file"), 7U);
    EXPECT_EQ(owner("/tree/a/b"), 0U);
}

TEST_F(VolumeOwner, LabelsATreeButNotTheSystems) {
    const UniqueFd place = open_file(tree(), O_PATH).value();
    const auto labeled = relabel_tree(place, tree(), container_label);
    ASSERT_TRUE(labeled.ok()) << labeled.error().message();
    if (label("/tree").empty()) {
        GTEST_SKIP() << "no such attributes on this file system";
    }
    EXPECT_EQ(label("/tree/a/b/file"), container_label);
    EXPECT_EQ(label("/tree/a/link"), container_label);
    EXPECT_EQ(label("/outside"), "");
    EXPECT_EQ(label_of(place), container_label);
    EXPECT_EQ(
        relabel_tree(place, "/usr/", container_label).error().message(),
        "SELinux relabeling of /usr/ is not allowed");
}

} // namespace
} // namespace berth::engine
