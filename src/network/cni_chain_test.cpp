// SPDX-License-Identifier: Apache-2.0
// What each plugin of a chain is told, and in which order.
#include "network/cni_chain.h"
#include "network/cni_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

CniConfiguration configuration(const std::string& head = R"("cniVersion": "1.0.0",)") {
    return CniConfiguration::parse("{" + head + R"("name": "net", "plugins": [
                 {"type": "one", "mtu": 1400, "args": {"mine": 1}, "capabilities": {"mac": true}},
                 {"type": "two", "capabilities": {"portMappings": true, "mac": false}}]})")
        .value();
}

struct ChainTest : testing::Test {
    ChainTest() {
        folder.add_well_behaved("one");
        folder.add_well_behaved("two");
        attachment.configuration = configuration().text("1.0.0");
        attachment.capability_values = {{"mac", "02:00:00:00:00:01"}, {"portMappings", {1}}};
    }

    std::string told(const std::string& type, const std::string& command) const {
        return json::serialize(folder.input(type, command));
    }

    CniPluginFolder folder;
    CniAttachment attachment{.id = "c1", .interface_name = "eth0", .arguments = "A=1"};
};

TEST_F(ChainTest, HandsEachResultToTheNext) {
    const auto result = cni_add(folder.plugins(), attachment, "/proc/1/ns/net", patience());
    ASSERT_TRUE(result.ok()) << result.error().message();
    EXPECT_EQ(json::find_string(*result, "from"), "two");
    EXPECT_EQ(json::find_string(*result, "seen"), "previous");
    EXPECT_THAT(folder.calls(), ElementsAre("one ADD", "two ADD"));
    EXPECT_EQ(
        told("one", "ADD"),
        R"({"type":"one","mtu":1400,"args":{"mine":1},"name":"net","cniVersion":"1.0.0",)"
        R"("runtimeConfig":{"mac":"02:00:00:00:00:01"}})");
    EXPECT_EQ(
        told("two", "ADD"),
        R"({"type":"two","name":"net","cniVersion":"1.0.0","runtimeConfig":{"portMappings":[1]},)"
        R"("prevResult":{"cniVersion":"1.0.0","from":"one","ips":[{"address":"10.5.0.2/24"}]}})");
}

TEST_F(ChainTest, AsksForAddressesAsArguments) {
    attachment.ips = {"10.5.0.9", "fd00::9"};
    ASSERT_TRUE(cni_add(folder.plugins(), attachment, "", patience()).ok());
    EXPECT_THAT(
        told("one", "ADD"), HasSubstr(R"("args":{"mine":1,"cni":{"ips":["10.5.0.9","fd00::9"]}})"));
}

TEST_F(ChainTest, StopsAtThePluginThatFails) {
    folder.add("one", R"(echo '{"code":100,"msg":"no"}'; exit 1)");
    EXPECT_EQ(
        cni_add(folder.plugins(), attachment, "", patience()).error().message(),
        "CNI plugin one (ADD): no");
    EXPECT_THAT(folder.calls(), IsEmpty());
    for (const char* script : {"true", "echo 7", "echo '[]'"}) {
        folder.add("one", script);
        EXPECT_EQ(
            cni_add(folder.plugins(), attachment, "", patience()).error().message(),
            "CNI plugin one (ADD): its answer is no result");
    }
}

TEST_F(ChainTest, DeletesInReverseWithTheResultAndGoesOnAfterFailures) {
    attachment.result = json::Object{{"ips", json::Array()}};
    ASSERT_TRUE(cni_delete(folder.plugins(), attachment, "", patience()).ok());
    EXPECT_THAT(folder.calls(), ElementsAre("two DEL", "one DEL"));
    EXPECT_THAT(told("two", "DEL"), HasSubstr(R"("runtimeConfig":{"portMappings":[1]})"));
    EXPECT_THAT(told("one", "DEL"), HasSubstr(R"("prevResult":{"ips":[]})"));
    EXPECT_THAT(folder.environment("one", "DEL"), HasSubstr("CNI_NETNS=\n"));
    folder.forget_calls();
    folder.add("two", "exit 1");
    EXPECT_FALSE(cni_delete(folder.plugins(), attachment, "", patience()).ok());
    EXPECT_THAT(folder.calls(), ElementsAre("one DEL"));
    // Of a version that did not have it.
    attachment.configuration = configuration(R"("cniVersion": "0.3.1",)").text("0.3.1");
    static_cast<void>(cni_delete(folder.plugins(), attachment, "", patience()).ok());
    EXPECT_EQ(json::find(folder.input("one", "DEL"), "prevResult"), nullptr);
}

TEST_F(ChainTest, ChecksWhereItCanBeAsked) {
    attachment.result = json::Object{{"ips", json::Array()}};
    ASSERT_TRUE(cni_check(folder.plugins(), attachment, "/x", patience()).ok());
    EXPECT_THAT(folder.calls(), ElementsAre("one CHECK", "two CHECK"));
    folder.add("one", "exit 1");
    EXPECT_FALSE(cni_check(folder.plugins(), attachment, "/x", patience()).ok());
    for (const char* head :
         {R"("cniVersion": "0.3.1",)", R"("cniVersion": "1.0.0", "disableCheck": "True",)"}) {
        const CniConfiguration without = configuration(head);
        attachment.configuration = without.text(without.versions.back());
        EXPECT_TRUE(cni_check(folder.plugins(), attachment, "/x", patience()).ok()) << head;
    }
}

TEST_F(ChainTest, NegotiatesTheVersion) {
    const CniConfiguration several =
        configuration(R"("cniVersions": ["0.4.0", "1.0.0", "1.1.0"],)");
    EXPECT_EQ(negotiate_cni_version(folder.plugins(), several, patience()).value(), "1.1.0");
    folder.add_well_behaved("two", R"("0.1.0","0.4.0","1.0.0")");
    EXPECT_EQ(negotiate_cni_version(folder.plugins(), several, patience()).value(), "1.0.0");
    folder.add_well_behaved("two", R"("0.1.0")");
    EXPECT_EQ(
        negotiate_cni_version(folder.plugins(), several, patience()).error().message(),
        "CNI network \"net\": its plugins have none of its versions in common");
    folder.add("two", "echo '{}'");
    EXPECT_FALSE(negotiate_cni_version(folder.plugins(), several, patience()).ok());
    // One version is believed.
    folder.forget_calls();
    EXPECT_EQ(
        negotiate_cni_version(folder.plugins(), configuration(), patience()).value(), "1.0.0");
    EXPECT_THAT(folder.calls(), IsEmpty());
    const CniConfiguration absent =
        CniConfiguration::parse(
            R"({"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "three"}]})")
            .value();
    EXPECT_EQ(
        negotiate_cni_version(folder.plugins(), absent, patience()).error().kind(),
        ErrorKind::NotFound);
}

TEST_F(ChainTest, AsksForTheStatusAndCollectsSinceVersion11) {
    const CniConfiguration with = configuration(R"("cniVersion": "1.1.0",)");
    ASSERT_TRUE(cni_status(folder.plugins(), with, "1.0.0", patience()).ok());
    EXPECT_THAT(folder.calls(), IsEmpty());
    ASSERT_TRUE(cni_status(folder.plugins(), with, "1.1.0", patience()).ok());
    EXPECT_THAT(folder.calls(), ElementsAre("one STATUS", "two STATUS"));
    folder.add("two", R"(echo '{"code":50,"msg":"still starting"}'; exit 1)");
    EXPECT_EQ(
        cni_status(folder.plugins(), with, "1.1.0", patience()).error().kind(),
        ErrorKind::Unavailable);
    ASSERT_TRUE(cni_collect(folder.plugins(), with, "1.0.0", {}, patience()).ok());
    folder.forget_calls();
    folder.add_well_behaved("two");
    ASSERT_TRUE(cni_collect(folder.plugins(), with, "1.1.0", {{"c1", "eth0"}}, patience()).ok());
    EXPECT_THAT(folder.calls(), ElementsAre("one GC", "two GC"));
    EXPECT_THAT(
        told("one", "GC"),
        HasSubstr(R"("cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"}])"));
    folder.forget_calls();
    const CniConfiguration off = configuration(R"("cniVersion": "1.1.0", "disableGC": true,)");
    ASSERT_TRUE(cni_collect(folder.plugins(), off, "1.1.0", {}, patience()).ok());
    EXPECT_THAT(folder.calls(), IsEmpty());
}

TEST_F(ChainTest, ChangesACapabilityOfThePluginsThatHaveIt) {
    attachment.result = json::Object{{"ips", json::Array()}};
    ASSERT_TRUE(cni_change(
                    folder.plugins(),
                    attachment,
                    "portMappings",
                    json::Value(json::Array{2}),
                    "/x",
                    patience())
                    .ok());
    EXPECT_THAT(folder.calls(), ElementsAre("two DEL", "two ADD"));
    EXPECT_THAT(told("two", "DEL"), HasSubstr(R"("portMappings":[1])"));
    EXPECT_THAT(told("two", "ADD"), HasSubstr(R"("portMappings":[2])"));
    EXPECT_THAT(told("two", "ADD"), HasSubstr("prevResult"));
    EXPECT_THAT(json::serialize(attachment.capability_values), HasSubstr("[2]"));
}

TEST_F(ChainTest, IsKeptAsText) {
    attachment.ips = {"10.5.0.9"};
    attachment.result = json::Object{{"ips", json::Array()}};
    const auto again = CniAttachment::parse(attachment.text());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->text(), attachment.text());
    EXPECT_FALSE(CniAttachment::parse("{}").ok());
    EXPECT_FALSE(CniAttachment::parse("").ok());
}

TEST(CniResult, TellsOfTheContainersInterface) {
    const auto result = CniResult::read(
        json::parse(R"({"interfaces": [{"name": "cni0"}, {"name": "veth1"},
            {"name": "eth0", "sandbox": "/proc/1/fd/3", "mtu": 1400}],
            "ips": [{"address": "10.5.0.1/24", "interface": 0},
                    {"address": "10.5.0.2/24", "gateway": "10.5.0.1", "interface": 2},
                    {"address": "fd00::2/64", "gateway": "fd00::1"},
                    {"address": "10.6.0.2/24"}],
            "dns": {"nameservers": ["10.5.0.1"], "domain": "x.test", "options": ["ndots:2"]}})")
            .value(),
        "eth0");
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->v4->to_string(), "10.5.0.2/24");
    EXPECT_EQ(result->gateway_v4->to_string(), "10.5.0.1");
    EXPECT_EQ(result->v6->to_string(), "fd00::2/64");
    EXPECT_EQ(result->gateway_v6->to_string(), "fd00::1");
    EXPECT_EQ(result->addresses.size(), 3U);
    EXPECT_EQ(result->host_interface, "veth1");
    EXPECT_EQ(result->mtu, 1400U);
    EXPECT_THAT(result->dns.nameservers, ElementsAre("10.5.0.1"));
    EXPECT_THAT(result->dns.search, ElementsAre("x.test"));
}

TEST(CniResult, MayBeNonsense) {
    for (const char* text :
         {R"({"ips": [{"address": "nowhere"}]})",
          R"({"ips": [{}]})",
          R"({"ips": [{"address": "10.5.0.2/24", "gateway": "up"}]})"}) {
        EXPECT_FALSE(CniResult::read(json::parse(text).value(), "eth0").ok()) << text;
    }
    for (const char* text :
         {"{}",
          R"({"interfaces": [{"name": "../../x"}, {"name": ""}]})",
          R"({"ips": 7, "interfaces": "x", "dns": []})",
          R"({"interfaces": [7], "ips": [{"address": "10.5.0.2/24", "interface": -5}]})"}) {
        const auto result = CniResult::read(json::parse(text).value(), "eth0");
        ASSERT_TRUE(result.ok()) << text;
        EXPECT_EQ(result->host_interface, "") << text;
    }
}

} // namespace
} // namespace berth::network
