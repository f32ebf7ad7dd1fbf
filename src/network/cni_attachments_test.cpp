// SPDX-License-Identifier: Apache-2.0
// Attachments from one engine to the next.
#include "network/cni_attachments.h"
#include "network/cni_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::network {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct CniAttachmentsTest : testing::Test {
    CniAttachmentsTest() { folder.add_well_behaved("one"); }

    CniAttachments::Options options() const {
        return {
            .directory = state.path() + "/cni",
            .plugins = folder.plugins(),
            .timeout = std::chrono::seconds(10),
            .first_retry = std::chrono::milliseconds(20)};
    }

    static CniAttachment attachment(const std::string& id) {
        CniAttachment made{.id = id, .interface_name = "eth0"};
        made.configuration =
            R"({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "one"}]})";
        return made;
    }

    CniPluginFolder folder;
    TemporaryDirectory state = TemporaryDirectory::create("/tmp").value();
};

TEST_F(CniAttachmentsTest, AreThereUntilTheyAreDeleted) {
    CniAttachments first(options());
    EXPECT_THAT(first.ids(), IsEmpty());
    EXPECT_EQ(first.load("a").error().kind(), ErrorKind::NotFound);
    ASSERT_TRUE(first.save(attachment("a")).ok());
    ASSERT_TRUE(first.save(attachment("b")).ok());
    CniAttachments second(options());
    EXPECT_THAT(second.ids(), ElementsAre("a", "b"));
    ASSERT_TRUE(second.remove(second.load("a").value(), UniqueFd()).ok());
    EXPECT_THAT(second.ids(), ElementsAre("b"));
    EXPECT_THAT(folder.calls(), ElementsAre("one DEL"));
}

TEST_F(CniAttachmentsTest, AreRemovedBehindWhenNobodyKnowsThem) {
    {
        CniAttachments first(options());
        ASSERT_TRUE(first.save(attachment("a")).ok());
        ASSERT_TRUE(first.save(attachment("b")).ok());
    }
    CniAttachments second(options());
    second.abandon("a");
    second.abandon("b");
    second.abandon("never there");
    second.finish();
    EXPECT_THAT(second.ids(), IsEmpty());
    EXPECT_THAT(folder.calls(), ElementsAre("one DEL", "one DEL"));
}

TEST_F(CniAttachmentsTest, AreTriedAgainUntilThePluginsTakeThemOff) {
    folder.add(
        "one",
        "echo x >> $home/tries; [ $(wc -l < $home/tries) -ge 4 ] || { echo no >&2; exit 1; }");
    CniAttachments attachments(options());
    ASSERT_TRUE(attachments.save(attachment("a")).ok());
    EXPECT_FALSE(attachments.remove(attachment("a"), UniqueFd()).ok());
    attachments.finish();
    EXPECT_TRUE(comes_true([&] { return attachments.ids().empty(); }));
    EXPECT_EQ(folder.text("tries"), "x\nx\nx\nx\n");
}

TEST_F(CniAttachmentsTest, DoNotHoldUpTheEnd) {
    folder.add("one", "touch $home/begun; exec sleep 1000");
    {
        CniAttachments attachments(options());
        ASSERT_TRUE(attachments.save(attachment("a")).ok());
        attachments.abandon("a");
        EXPECT_TRUE(comes_true([&] { return exists(folder.path() + "/begun"); }));
    }
    EXPECT_THAT(CniAttachments(options()).ids(), ElementsAre("a")) << "for the next engine";
}

TEST_F(CniAttachmentsTest, StayWhenTheyCannotBeRead) {
    CniAttachments attachments(options());
    ASSERT_TRUE(attachments.save(attachment("a")).ok());
    ASSERT_TRUE(replace_file(state.path() + "/cni/a.json", "{", 0600, Sync::No).ok());
    attachments.abandon("a");
    attachments.finish();
    EXPECT_THAT(attachments.ids(), ElementsAre("a"));
    EXPECT_THAT(folder.calls(), IsEmpty());
}

TEST_F(CniAttachmentsTest, AreCheckedBehind) {
    CniAttachments attachments(options());
    CniAttachment one = attachment("a");
    one.result = json::Object{{"ips", json::Array()}};
    ASSERT_TRUE(attachments.save(one).ok());
    attachments.check("a", UniqueFd());
    attachments.check("gone", UniqueFd());
    attachments.finish();
    EXPECT_THAT(folder.calls(), ElementsAre("one CHECK"));
}

} // namespace
} // namespace berth::network
