// SPDX-License-Identifier: Apache-2.0
// docker cp's rules: what a path's end means, and which name the copy gets.
#include "base/file.h"
#include "cli/copy_paths.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

namespace berth::cli {

namespace {

std::string plan(const CopyEnd& source, const CopyEnd& destination) {
    auto planned = plan_copy(source, destination);
    if (!planned.ok()) {
        return planned.error().message();
    }
    const std::string name =
        source.asked_name.empty() ? split_path_entry(source.path).name : source.asked_name;
    return planned->directory + " <- " + planned_name(*planned, name + "/x");
}

} // namespace

TEST(CopyPaths, ContainersAreNamedBeforeAColon) {
    EXPECT_EQ(parse_copy_argument("box:/etc").container, "box");
    EXPECT_EQ(parse_copy_argument("box:/etc").path, "/etc");
    EXPECT_EQ(parse_copy_argument("./a:b").container, "");
    EXPECT_EQ(parse_copy_argument("/a:b").path, "/a:b");
    EXPECT_EQ(parse_copy_argument("file").container, "");
}

TEST(CopyPaths, PlansAsDockerDoes) {
    const CopyEnd file{.path = "/s/file", .exists = true, .asked_name = {}};
    const CopyEnd folder{.path = "/s/dir", .exists = true, .is_directory = true, .asked_name = {}};
    const CopyEnd content{
        .path = "/s/dir/.", .exists = true, .is_directory = true, .asked_name = {}};
    const CopyEnd there{.path = "/d", .exists = true, .is_directory = true, .asked_name = {}};
    const CopyEnd other{.path = "/d/f", .exists = true, .asked_name = {}};
    const CopyEnd missing{.path = "/d/new", .asked_name = {}};
    const CopyEnd missing_folder{.path = "/d/new/", .asked_name = {}};
    EXPECT_EQ(plan(file, there), "/d <- file/x");
    EXPECT_EQ(plan(file, other), "/d <- f/x");
    EXPECT_EQ(plan(file, missing), "/d <- new/x");
    EXPECT_EQ(plan(file, missing_folder), "no such directory");
    EXPECT_EQ(plan(folder, there), "/d <- dir/x");
    EXPECT_EQ(plan(folder, other), "cannot copy directory");
    EXPECT_EQ(plan(folder, missing), "/d <- new/x");
    EXPECT_EQ(plan(folder, missing_folder), "/d <- new/x");
    EXPECT_EQ(plan(content, there), "/d <- ./x");
    EXPECT_EQ(plan(content, missing), "/d <- new/x");
    const CopyEnd followed{.path = "/s/target", .exists = true, .asked_name = "link"};
    EXPECT_EQ(plan(followed, missing), "/d <- new/x");
    EXPECT_EQ(plan(followed, there), "/d <- link/x");
}

TEST(CopyPaths, NamesBelowARootChangeToo) {
    const CopyPlan root{.directory = "/d", .old_name = "/", .new_name = "new"};
    EXPECT_EQ(planned_name(root, "/"), "new");
    EXPECT_EQ(planned_name(root, "/etc/passwd"), "new/etc/passwd");
}

TEST(CopyPaths, KeepsWhatAPathsEndSays) {
    EXPECT_EQ(keep_ending("/a", "a/"), "/a/");
    EXPECT_EQ(keep_ending("/a", "a/."), "/a/.");
    EXPECT_EQ(keep_ending("/", "/"), "/");
    EXPECT_EQ(follow_link("/a/link", "/b/target").asked_name, "link");
    EXPECT_EQ(follow_link("/a/link/", "/b/target").path, "/b/target/");
    EXPECT_EQ(follow_link("/a/same", "/b/same").asked_name, "");
}

TEST(CopyPaths, LocalLinksAreFollowedWhereTheyAreDestinations) {
    const TemporaryDirectory folder = TemporaryDirectory::create("/tmp").value();
    const std::string& top = folder.path();
    ASSERT_TRUE(make_directories(top + "/real/sub").ok());
    ASSERT_EQ(symlink("real", (top + "/link").c_str()), 0);
    EXPECT_EQ(local_destination(top + "/link").value().path, top + "/real");
    EXPECT_TRUE(local_destination(top + "/link").value().is_directory);
    EXPECT_FALSE(local_source(top + "/link", Follow::No).value().is_directory);
    EXPECT_EQ(local_source(top + "/link", Follow::Yes).value().path, top + "/real");
    EXPECT_EQ(local_source(top + "/link", Follow::Yes).value().asked_name, "link");
    EXPECT_FALSE(local_destination(top + "/link/new").value().exists);
    EXPECT_FALSE(local_destination(top + "/missing/new").ok());
    EXPECT_FALSE(local_source(top + "/missing", Follow::No).ok());
}

} // namespace berth::cli
