// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_link_watch.h"
#include "kernel/netlink_route.h"
#include "kernel/netlink_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>
#include <sys/socket.h>

namespace berth::kernel {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

int index_of(const std::string& name) {
    return RouteSocket::open()->find_link(name).value()->index;
}

bool has_news(const LinkWatch& watch) {
    pollfd entry{.fd = watch.fd().get(), .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, 0) == 1;
}

TEST(LinkWatch, TellsOfBridgesAndLabeledInterfacesThatGo) {
    in_new_network([] {
        output_of({"ip", "link", "add", "first", "type", "bridge"});
        output_of({"ip", "link", "add", "near", "type", "veth", "peer", "name", "far"});
        output_of({"ip", "link", "set", "near", "alias", "berth:test"});
        const int first = index_of("first");
        const int near = index_of("near");
        LinkWatch watch = LinkWatch::open().value();
        output_of({"ip", "link", "delete", "first"});
        EXPECT_TRUE(has_news(watch));
        EXPECT_THAT(watch.read_news()->removed, ElementsAre(first));
        output_of({"ip", "link", "delete", "near"});
        EXPECT_THAT(watch.read_news()->removed, ElementsAre(near));
    });
}

TEST(LinkWatch, IsNotWokenByAnythingElse) {
    in_new_network([] {
        output_of({"ip", "link", "add", "first", "type", "bridge"});
        LinkWatch watch = LinkWatch::open().value();
        output_of({"ip", "link", "add", "near", "type", "veth", "peer", "name", "far"});
        output_of({"ip", "link", "set", "near", "master", "first", "up"});
        output_of({"ip", "link", "set", "near", "nomaster"});
        output_of({"ip", "link", "delete", "far"});
        output_of({"ip", "link", "set", "first", "up"});
        EXPECT_FALSE(has_news(watch));
    });
}

TEST(LinkWatch, HearsEverythingWhenItIsToldTo) {
    in_new_network([] {
        LinkWatch watch = LinkWatch::open().value();
        ASSERT_TRUE(watch.set_scope(LinkWatch::Scope::All).ok());
        output_of({"ip", "link", "add", "near", "type", "veth", "peer", "name", "far"});
        EXPECT_TRUE(has_news(watch));
        EXPECT_THAT(watch.read_news()->removed, IsEmpty());
        ASSERT_TRUE(watch.set_scope(LinkWatch::Scope::Removals).ok());
        output_of({"ip", "link", "delete", "near"});
        EXPECT_FALSE(has_news(watch));
    });
}

TEST(LinkWatch, SaysThatItMayHaveMissedSomething) {
    in_new_network([] {
        LinkWatch watch = LinkWatch::open().value();
        ASSERT_TRUE(watch.set_scope(LinkWatch::Scope::All).ok());
        const int small = 1;
        ASSERT_EQ(::setsockopt(watch.fd().get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
        for (int i = 0; i < 4; ++i) {
            output_of({"ip", "link", "set", "lo", i % 2 == 0 ? "down" : "up"});
        }
        EXPECT_TRUE(watch.read_news()->incomplete);
    });
}

} // namespace
} // namespace berth::kernel
