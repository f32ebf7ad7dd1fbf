// SPDX-License-Identifier: Apache-2.0
// Labels for containers, with the contexts that Fedora's policy has.
#include "engine/selinux.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

constexpr const char* contexts = R"(# of container-selinux
process = "system_u:system_r:container_t:s0"
content = "system_u:object_r:virt_var_lib_t:s0"
file = "system_u:object_r:container_file_t:s0"
ro_file="system_u:object_r:container_ro_file_t:s0"
)";

SelinuxPolicy policy() {
    return parse_selinux_policy(contexts).value();
}

TEST(SelinuxContext, HasThreePartsAndPerhapsALevel) {
    const auto context = SelinuxContext::parse("system_u:system_r:container_t:s0:c1,c2").value();
    EXPECT_EQ(context.user, "system_u");
    EXPECT_EQ(context.role, "system_r");
    EXPECT_EQ(context.type, "container_t");
    EXPECT_EQ(context.level, "s0:c1,c2");
    EXPECT_EQ(context.text(), "system_u:system_r:container_t:s0:c1,c2");
    EXPECT_EQ(SelinuxContext::parse("a:b:c").value().text(), "a:b:c");
    for (const char* wrong : {"", "a", "a:b", "a:b:", "a::c", ":b:c"}) {
        EXPECT_FALSE(SelinuxContext::parse(wrong).ok()) << wrong;
    }
}

TEST(SelinuxPolicy, IsReadFromTheContextsFile) {
    EXPECT_EQ(policy().process.type, "container_t");
    EXPECT_EQ(policy().file.text(), "system_u:object_r:container_file_t:s0");
    EXPECT_FALSE(parse_selinux_policy("process = \"a:b:c\"\n").ok());
}

TEST(SelinuxOptions, AreThoseThatSayLabel) {
    EXPECT_THAT(
        label_options({"seccomp=unconfined", "label=type:x_t", "label:level:s0:c1", "disable"}),
        ElementsAre("type:x_t", "level:s0:c1", "disable"));
    EXPECT_THAT(
        shared_label_options("u:r:t:s0:c5,c6"),
        ElementsAre("user:u", "role:r", "type:t", "level:s0:c5,c6"));
    EXPECT_THAT(shared_label_options(""), IsEmpty());
    EXPECT_EQ(
        shared_file_label("u:object_r:container_file_t:s0:c5,c6"),
        "u:object_r:container_file_t:s0");
    EXPECT_EQ(shared_file_label("u:object_r:container_file_t"), "u:object_r:container_file_t");
}

TEST(SelinuxLabeler, GivesEachContainerCategoriesOfItsOwn) {
    SelinuxLabeler labeler(policy());
    std::set<std::string> seen;
    for (int i = 0; i < 200; ++i) {
        const SelinuxLabels labels = labeler.make({}).value();
        EXPECT_THAT(
            labels.process, MatchesRegex("system_u:system_r:container_t:s0:c[0-9]+,c[0-9]+"));
        const auto process = SelinuxContext::parse(labels.process).value();
        const auto file = SelinuxContext::parse(labels.mount).value();
        EXPECT_EQ(file.type, "container_file_t");
        EXPECT_EQ(file.level, process.level);
        EXPECT_TRUE(seen.insert(process.level).second) << process.level;
    }
}

TEST(SelinuxLabeler, TakesWhatIsAskedFor) {
    SelinuxLabeler labeler(policy());
    const SelinuxLabels labels = labeler
                                     .make(
                                         {"type:spc_t",
                                          "filetype:svirt_file_t",
                                          "level:s0:c7,c8",
                                          "user:staff_u",
                                          "role:staff_r"})
                                     .value();
    EXPECT_EQ(labels.process, "staff_u:staff_r:spc_t:s0:c7,c8");
    EXPECT_EQ(labels.mount, "staff_u:object_r:svirt_file_t:s0:c7,c8");
    // Two containers may be asked to share.
    EXPECT_EQ(
        labeler.make({"level:s0:c7,c8"}).value().process, "system_u:system_r:container_t:s0:c7,c8");
}

TEST(SelinuxLabeler, ConfinesNoProcessWhenItIsDisabled) {
    SelinuxLabeler labeler(policy());
    const SelinuxLabels labels = labeler.make({"type:x_t", "disable"}).value();
    EXPECT_EQ(labels.process, "");
    EXPECT_EQ(labels.mount, "system_u:object_r:container_file_t:s0:c1022,c1023");
}

TEST(SelinuxLabeler, RefusesWhatIsNoOption) {
    SelinuxLabeler labeler(policy());
    EXPECT_THAT(labeler.make({"x"}).error().message(), HasSubstr("bad label option \"x\""));
    EXPECT_THAT(
        labeler.make({"color:red"}).error().message(), HasSubstr("bad label option \"color\""));
    // Off, nobody looks, as with Docker.
    EXPECT_EQ(SelinuxLabeler().make({"color:red"}).value().process, "");
}

TEST(SelinuxLabeler, HasNoCategoriesWhereThePolicyHasNoLevels) {
    SelinuxLabeler labeler(
        {.process = SelinuxContext::parse("u:r:container_t").value(),
         .file = SelinuxContext::parse("u:object_r:container_file_t").value()});
    EXPECT_EQ(labeler.make({}).value().process, "u:r:container_t");
    EXPECT_EQ(labeler.make({"disable"}).value().mount, "u:object_r:container_file_t");
}

} // namespace
} // namespace berth::engine
