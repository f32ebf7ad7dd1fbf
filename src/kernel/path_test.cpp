// SPDX-License-Identifier: Apache-2.0
// Walks in a root that is full of traps.
#include "base/file.h"
#include "kernel/path.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

class PathTest : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_.emplace(std::move(*TemporaryDirectory::create("/tmp")));
        root_path_ = folder_->path() + "/root";
        ASSERT_TRUE(make_directories(root_path_ + "/etc").ok());
        ASSERT_TRUE(replace_file(root_path_ + "/etc/passwd", "inside").ok());
        ASSERT_TRUE(replace_file(folder_->path() + "/secret", "outside").ok());
        root_ = std::move(*open_file(root_path_, O_PATH | O_DIRECTORY));
    }

    void link(const std::string& target, const std::string& name) {
        std::filesystem::create_symlink(target, root_path_ + "/" + name);
    }

    std::string content(std::string_view path) {
        auto file = open_in_root(root_, path, O_RDONLY);
        return file.ok() ? read_all(*file, 100).value_or("?") : file.error().message();
    }

    std::optional<TemporaryDirectory> folder_;
    std::string root_path_;
    UniqueFd root_;
};

TEST_F(PathTest, LinksAndDotsStayInside) {
    link("/etc/passwd", "absolute");
    link("../../../../../../etc/passwd", "relative");
    link("../secret", "secret");
    EXPECT_EQ(content("/etc/passwd"), "inside");
    EXPECT_EQ(content("absolute"), "inside");
    EXPECT_EQ(content("relative"), "inside");
    EXPECT_EQ(content("../../../etc/passwd"), "inside");
    EXPECT_NE(content("secret"), "outside");
}

TEST_F(PathTest, MagicLinksAreNotFollowed) {
    link("/proc/self/root", "magic");
    auto proc = open_file("/", O_PATH | O_DIRECTORY);
    auto file = open_in_root(*proc, "/proc/self/root/etc", O_PATH);
    ASSERT_FALSE(file.ok());
    EXPECT_EQ(file.error().error_number(), ELOOP);
}

TEST_F(PathTest, LinksCanBeRefused) {
    link("etc", "linked");
    EXPECT_FALSE(open_in_root(root_, "linked/passwd", O_PATH, 0, FollowLinks::Never).ok());
    EXPECT_TRUE(open_in_root(root_, "linked", O_PATH, 0, FollowLinks::NotLast).ok());
}

TEST_F(PathTest, CirclesEnd) {
    link("b", "a");
    link("a", "b");
    EXPECT_FALSE(make_directories_in_root(root_, "/a/x").ok());
    link("self/x", "self");
    EXPECT_FALSE(make_directories_in_root(root_, "/self/x").ok());
}

TEST_F(PathTest, ParentsNameTheLastComponent) {
    auto place = open_parent_in_root(root_, "/etc/new/");
    ASSERT_TRUE(place.ok());
    EXPECT_EQ(place->name, "new");
    EXPECT_EQ(::faccessat(place->parent.get(), "passwd", F_OK, 0), 0);
    EXPECT_FALSE(open_parent_in_root(root_, "/").ok());
    EXPECT_FALSE(open_parent_in_root(root_, "/etc/..").ok());
}

} // namespace

} // namespace berth::kernel
