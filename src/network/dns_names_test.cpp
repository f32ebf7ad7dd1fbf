// SPDX-License-Identifier: Apache-2.0
// Look-ups in several networks.
#include "network/dns_names.h"
#include "network/dns_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::network {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;
using testing::UnorderedElementsAre;

const DnsNetwork back{.id = "n1", .name = "back"};
const DnsNetwork front{.id = "n2", .name = "front.net"};

class Names : public testing::Test {
  protected:
    Names() {
        names_.add(
            "n1",
            {.id = "e1",
             .name = "web",
             .aliases = {"0123456789ab", "App"},
             .addresses = {ip("10.0.0.2"), ip("fd00::2")},
             .ports = {{"http", "tcp", 80}}});
        names_.add(
            "n1",
            {.id = "e2", .name = "web.two", .aliases = {"app"}, .addresses = {ip("10.0.0.3")}});
        names_.add("n2", {.id = "e3", .name = "web", .addresses = {ip("10.1.0.2")}});
    }

    DnsNames names_;
};

TEST_F(Names, FindsByNameIdAndAliasWithoutCase) {
    EXPECT_THAT(names_.find({back}, "web"), Optional(ElementsAre(ip("10.0.0.2"), ip("fd00::2"))));
    EXPECT_THAT(names_.find({back}, "0123456789ab"), Optional(testing::SizeIs(2)));
    EXPECT_THAT(
        names_.find({back}, "app"),
        Optional(UnorderedElementsAre(ip("10.0.0.2"), ip("fd00::2"), ip("10.0.0.3"))));
    EXPECT_EQ(names_.find({back}, "db"), std::nullopt);
    EXPECT_EQ(names_.find({}, "web"), std::nullopt) << "of a network that the asker is not in";
}

TEST_F(Names, TakesTheFirstNetworkThatHasTheName) {
    EXPECT_THAT(names_.find({front, back}, "web"), Optional(ElementsAre(ip("10.1.0.2"))));
    EXPECT_THAT(names_.find({front, back}, "web.two"), Optional(ElementsAre(ip("10.0.0.3"))));
}

TEST_F(Names, TakesTheNetworkThatTheNameNames) {
    EXPECT_THAT(names_.find({front, back}, "web.back"), Optional(testing::SizeIs(2)));
    EXPECT_THAT(names_.find({back, front}, "web.front.net"), Optional(ElementsAre(ip("10.1.0.2"))));
    EXPECT_THAT(names_.find({back, front}, "web.two.back"), Optional(ElementsAre(ip("10.0.0.3"))));
    EXPECT_EQ(names_.find({back}, "web.front.net"), std::nullopt);
}

TEST_F(Names, PutsLinksBeforeNames) {
    DnsNetwork linked = back;
    linked.links = {{"db", "web.two"}, {"web", "web.two"}, {"gone", "nobody"}};
    EXPECT_THAT(names_.find({linked}, "db"), Optional(ElementsAre(ip("10.0.0.3"))));
    EXPECT_THAT(names_.find({linked}, "web"), Optional(ElementsAre(ip("10.0.0.3"))));
    EXPECT_EQ(names_.find({linked}, "gone"), std::nullopt);
    EXPECT_EQ(names_.find({back}, "db"), std::nullopt) << "a link is its container's own";
}

TEST_F(Names, ForgetsAtOnce) {
    names_.remove("n1", "e1");
    EXPECT_EQ(names_.find({back}, "web"), std::nullopt);
    EXPECT_THAT(names_.find({back}, "app"), Optional(ElementsAre(ip("10.0.0.3"))));
    EXPECT_EQ(names_.find_pointer({back}, ip("10.0.0.2")), "");
    names_.add("n1", {.id = "e2", .name = "new", .addresses = {ip("10.0.0.9")}});
    EXPECT_EQ(names_.find({back}, "web.two"), std::nullopt);
    EXPECT_THAT(names_.find({back}, "new"), Optional(ElementsAre(ip("10.0.0.9"))));
    names_.remove_network("n1");
    EXPECT_EQ(names_.find({back}, "new"), std::nullopt);
}

TEST_F(Names, KeepsAnAddressThatHasANewOwner) {
    names_.add("n1", {.id = "e4", .name = "heir", .addresses = {ip("10.0.0.2")}});
    names_.remove("n1", "e1");
    EXPECT_EQ(names_.find_pointer({back}, ip("10.0.0.2")), "heir.back");
}

TEST_F(Names, FindsPointersOfBothFamilies) {
    EXPECT_EQ(names_.find_pointer({front, back}, ip("10.0.0.2")), "web.back");
    EXPECT_EQ(names_.find_pointer({front, back}, ip("fd00::2")), "web.back");
    EXPECT_EQ(names_.find_pointer({front}, ip("10.0.0.2")), "");
}

TEST_F(Names, FindsServices) {
    const std::vector<DnsService> found = names_.find_services({back}, "_http._tcp.app");
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].port, 80);
    EXPECT_EQ(found[0].target, "web");
    EXPECT_THAT(names_.find_services({back}, "_http._udp.app"), IsEmpty());
    EXPECT_THAT(names_.find_services({back}, "http.tcp.app"), IsEmpty());
    EXPECT_THAT(names_.find_services({back}, "_http._tcp"), IsEmpty());
}

} // namespace
} // namespace berth::network
