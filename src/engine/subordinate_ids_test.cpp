// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "engine/subordinate_ids.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

class SubordinateIds : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(make_directories(files_.root + "/etc").ok());
        write(files_.root + "/etc/passwd", "root:x:0:0::/:\nann:x:1000:1000::/:\n");
    }

    static void write(const std::string& path, const std::string& text) {
        ASSERT_TRUE(replace_file(path, text, 0644, Sync::No).ok());
    }

    void give(const std::string& users, const std::string& groups) const {
        write(files_.users, users);
        write(files_.groups, groups);
    }

    std::string found(const std::string& text) {
        const auto owner = parse_userns_remap(text);
        if (!owner.ok()) {
            return owner.error().message();
        }
        const auto maps = subordinate_ids(*owner, files_);
        return maps.ok() ? kernel::id_map_text(maps->uids) + "/" + kernel::id_map_text(maps->gids)
                         : maps.error().message();
    }

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    SubordinateFiles files_{
        .users = directory_.path() + "/subuid",
        .groups = directory_.path() + "/subgid",
        .root = directory_.path() + "/root"};
};

TEST_F(SubordinateIds, AreThoseOfTheUsersNameOrNumber) {
    give("# a remark\nbob:5:5\nann:100000:65536\n", "1000:200000:65536\n");
    const std::string expected = "0 100000 65536\n/0 200000 65536\n";
    EXPECT_EQ(found("ann"), expected);
    EXPECT_EQ(found("1000"), expected);
    EXPECT_EQ(found("ann:ann"), expected);
    EXPECT_EQ(found("1000:1000"), expected);
}

TEST_F(SubordinateIds, OfAUserWithoutAnAccountAreFoundByItsName) {
    give("dockremap:165536:65536\n", "dockremap:165536:65536\n");
    EXPECT_EQ(found("default"), "0 165536 65536\n/0 165536 65536\n");
}

TEST_F(SubordinateIds, ComeOneRangeAfterTheOther) {
    give("ann:500000:10\nann:100000:20\n", "ann:100000:65536\n");
    EXPECT_EQ(found("ann"), "0 500000 10\n10 100000 20\n/0 100000 65536\n");
}

TEST_F(SubordinateIds, MayStandUnderTheGroupsName) {
    give("ann:100000:65536\n", "staff:300000:65536\n");
    EXPECT_EQ(found("ann:staff"), "0 100000 65536\n/0 300000 65536\n");
}

TEST_F(SubordinateIds, ThatAreMissingAreSaidToBe) {
    write(files_.users, "bob:100000:65536\n");
    EXPECT_EQ(
        found("ann"),
        "--userns-remap: no subuid ranges found for user \"ann\": add a line such as "
        "\"ann:165536:65536\" to " +
            files_.users);
    write(files_.users, "ann:100000:65536\nann:oh:no\nann:1\n");
    EXPECT_EQ(
        found("ann"),
        "--userns-remap: no subgid ranges found for user \"ann\": add a line such as "
        "\"ann:100000:65536\" to " +
            files_.groups);
}

TEST_F(SubordinateIds, ThatCannotBeUsedAreRefused) {
    write(files_.groups, "ann:100000:65536\n");
    for (const std::string line :
         {"ann:0:65536", "ann:1:0", "ann:4294967290:10", "ann:100:50\nann:149:1"}) {
        write(files_.users, line + "\n");
        EXPECT_NE(found("ann").find("the subuid range ann:"), std::string::npos) << found("ann");
    }
}

TEST(UsernsRemap, NamesAUserAndAGroup) {
    EXPECT_EQ(parse_userns_remap("default")->user, "dockremap");
    EXPECT_EQ(parse_userns_remap("a:b")->group, "b");
    EXPECT_TRUE(maps_nothing(*parse_userns_remap("root")));
    EXPECT_TRUE(maps_nothing(*parse_userns_remap("0:0")));
    for (const std::string_view bad : {"", ":", "a:", ":b", "a:b:c", "a b"}) {
        const auto owner = parse_userns_remap(bad);
        ASSERT_FALSE(owner.ok()) << bad;
        EXPECT_EQ(
            owner.error().message(),
            "invalid user/group specification in --userns-remap: \"" + std::string(bad) + "\"");
    }
}

} // namespace
} // namespace berth::engine
