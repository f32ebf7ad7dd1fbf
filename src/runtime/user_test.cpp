// SPDX-License-Identifier: Apache-2.0
// Users as people and images name them, against hostile files too.
#include "base/file.h"
#include "runtime/command_line/process_flags.h"
#include "runtime/user.h"

#include <gtest/gtest.h>

#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr std::string_view passwd = "root:x:0:0:root:/root:/bin/sh\n"
                                    "worker:x:1000:1001::/home/worker:/bin/sh\n"
                                    "77:x:5:5::/five:/bin/sh\n"
                                    "broken:x:what:5::/:/bin/sh\n"
                                    "# comment:x:9:9::/:/\n"
                                    "\n";
constexpr std::string_view group_file = "root:x:0:\n"
                                        "staff:x:50:worker,other\n"
                                        "88:x:6:\n"
                                        "audio:x:29:worker\n";

ResolvedUser resolve(std::string_view spec, const std::vector<std::string>& more = {}) {
    auto user = resolve_user_in(passwd, group_file, spec, more);
    EXPECT_TRUE(user.ok()) << spec;
    return user.ok() ? *user : ResolvedUser{};
}

std::string failure(std::string_view spec, const std::vector<std::string>& more = {}) {
    auto user = resolve_user_in(passwd, group_file, spec, more);
    return user.ok() ? "" : user.error().message();
}

TEST(User, NothingIsRoot) {
    EXPECT_EQ(resolve("").uid, 0U);
    EXPECT_EQ(resolve("").home, "/root");
}

TEST(User, Cve2026_46680_ANumberIsNeverAName) {
    ResolvedUser user = resolve("77");
    EXPECT_EQ(user.uid, 77U);
    EXPECT_EQ(user.gid, 0U);
    EXPECT_EQ(user.home, "/");
    EXPECT_EQ(resolve("1000:88").gid, 88U);
}

TEST(User, Cve2022_36109_ThePrimaryGroupIsASupplementaryOneToo) {
    // As in Docker: a process that changes its primary group stays bound to what the group is
    // denied.
    EXPECT_EQ(resolve("worker").additional_gids, (std::vector<std::uint32_t>{29, 50, 1001}));
    EXPECT_EQ(resolve("1000").additional_gids, (std::vector<std::uint32_t>{29, 50, 1001}));
    EXPECT_EQ(resolve("worker:audio").additional_gids, std::vector<std::uint32_t>{29});
    EXPECT_EQ(resolve("4321").additional_gids, std::vector<std::uint32_t>{0});
    EXPECT_EQ(resolve("").additional_gids, std::vector<std::uint32_t>{0});
    EXPECT_EQ(
        resolve("worker", {"88", "audio"}).additional_gids,
        (std::vector<std::uint32_t>{29, 50, 88, 1001}));
}

TEST(User, ErrorsAreDockers) {
    EXPECT_EQ(failure("nope"), "unable to find user nope: no matching entries in passwd file");
    EXPECT_EQ(failure("root:nope"), "unable to find group nope: no matching entries in group file");
    EXPECT_EQ(failure("4294967296"), "uids and gids must be in range 0-2147483647");
    EXPECT_EQ(failure("2147483648"), "uids and gids must be in range 0-2147483647");
    EXPECT_NE(failure("-1"), "");
    EXPECT_NE(failure("+1"), "");
    EXPECT_NE(failure(" 1"), "");
    EXPECT_NE(failure("a:b:c"), "");
    EXPECT_NE(failure("broken"), "");
}

TEST(User, Cve2026_30892_ExecsNumbersAreStrict) {
    EXPECT_EQ(command_line::parse_numeric_user("1")->uid, 1U);
    EXPECT_EQ(command_line::parse_numeric_user("1:2")->gid, 2U);
    for (const char* text : {"", ":", "1:", ":1", "1x", "-1", "1:2:3", "root", "4294967296"}) {
        EXPECT_FALSE(command_line::parse_numeric_user(text).ok()) << text;
    }
}

TEST(User, GhsaMjcvP78qW5fw_HugeFilesAreRefused) {
    auto folder = TemporaryDirectory::create("/tmp");
    ASSERT_TRUE(folder.ok());
    ASSERT_TRUE(make_directories(folder->path() + "/etc").ok());
    auto file = open_file(folder->path() + "/etc/group", O_CREAT | O_WRONLY);
    ASSERT_EQ(::ftruncate(file->get(), 1L << 40), 0); // sparse
    auto root = open_file(folder->path(), O_PATH);
    auto user = resolve_user(*root, "0");
    ASSERT_FALSE(user.ok());
    EXPECT_EQ(user.error().kind(), ErrorKind::ResourceExhausted);
}

TEST(User, OverlongLinesAreSkipped) {
    std::string text(max_user_database_line + 1, 'a');
    text += ":x:1:1::/:/\nworker:x:2:3::/w:/\n";
    EXPECT_EQ(resolve_user_in(text, "", "worker")->uid, 2U);
}

TEST(User, FilesThatAreNoFilesAreRefusedWithoutWaiting) {
    auto folder = TemporaryDirectory::create("/tmp");
    ASSERT_TRUE(folder.ok());
    ASSERT_TRUE(make_directories(folder->path() + "/etc").ok());
    ASSERT_EQ(::mkfifo((folder->path() + "/etc/passwd").c_str(), 0644), 0);
    auto root = open_file(folder->path(), O_PATH);
    EXPECT_FALSE(resolve_user(*root, "0").ok());
}

TEST(User, LinkedFilesAreReadInsideOfTheRoot) {
    auto folder = TemporaryDirectory::create("/tmp");
    ASSERT_TRUE(folder.ok());
    ASSERT_TRUE(make_directories(folder->path() + "/etc").ok());
    std::filesystem::create_symlink("/etc/real", folder->path() + "/etc/passwd");
    ASSERT_TRUE(replace_file(folder->path() + "/etc/real", "me:x:3:4::/:/\n").ok());
    auto root = open_file(folder->path(), O_PATH);
    auto user = resolve_user(*root, "me");
    ASSERT_TRUE(user.ok());
    EXPECT_EQ(user->uid, 3U);
}

TEST(User, AbsentFilesAreEmpty) {
    auto folder = TemporaryDirectory::create("/tmp");
    auto root = open_file(folder->path(), O_PATH);
    EXPECT_EQ(resolve_user(*root, "12:13")->gid, 13U);
}

} // namespace

} // namespace berth::runtime
