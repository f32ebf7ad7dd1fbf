// SPDX-License-Identifier: Apache-2.0
// How connections are found to be led, and which are not, as the host changes.
#include "network/flow_inspector.h"
#include "network/flow_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::network {
namespace {

using kernel::FlowTuple;
using kernel::in_new_network;
using kernel::IpAddress;
using kernel::IpFamily;
using kernel::output_of;

kernel::Link link(const std::string& name) {
    return *kernel::RouteSocket::open()->find_link(name).value();
}

// Of a new connection from the container.
FlowTuple sent(const Scene& scene, const Stream& stream, const std::string& to) {
    return {
        .source = scene.container(),
        .destination = *IpAddress::parse(to),
        .source_port = stream.client_port(),
        .destination_port = 90};
}

// As a new round does it.
std::optional<Flow> inspect(const Scene& scene, const FlowTuple& sent) {
    const ShortcutMember member{
        .network = link("test0").index,
        .host_index = link(scene.web.host_interface).index,
        .mac = scene.web.mac,
        .addresses = {scene.container()}};
    const Result<std::optional<Flow>> found = FlowInspector::open()->inspect(member, sent);
    return found.ok() ? *found : std::nullopt;
}

class FlowInspectorOf : public testing::TestWithParam<IpFamily> {};

INSTANTIATE_TEST_SUITE_P(
    BothVersions, FlowInspectorOf, testing::Values(IpFamily::V4, IpFamily::V6), version_name);

TEST_P(FlowInspectorOf, FindsTheWayThatTheKernelTakes) {
    in_new_network([] {
        const Scene scene(GetParam());
        const Stream stream = scene.call();
        const FlowTuple tuple = sent(scene, stream, scene.at.world);
        const std::optional<Flow> flow = inspect(scene, tuple);
        ASSERT_TRUE(flow);
        EXPECT_EQ(flow->uplink, link("wan0").index);
        EXPECT_EQ(flow->out.key.interface, flow->host_index);
        EXPECT_EQ(flow->out.key.packets, tuple);
        const FlowTuple& out = flow->out.way.packets;
        EXPECT_EQ(out.source.to_string(), scene.at.host);
        EXPECT_EQ(out.destination, tuple.destination);
        EXPECT_EQ(out.destination_port, 90);
        EXPECT_EQ(flow->out.way.next_hop, tuple.destination);
        EXPECT_FALSE(flow->out.way.to_peer);
        EXPECT_EQ(flow->in.key.interface, flow->uplink);
        EXPECT_EQ(flow->in.key.packets.source, out.destination);
        EXPECT_EQ(flow->in.key.packets.destination_port, out.source_port);
        EXPECT_EQ(flow->in.way.packets.destination, tuple.source);
        EXPECT_EQ(flow->in.way.packets.destination_port, tuple.source_port);
        EXPECT_TRUE(flow->in.way.to_peer);
        EXPECT_EQ(flow->in.way.mac, scene.web.mac);
        EXPECT_EQ(flow->out.way.mtu, 1500U);
        EXPECT_EQ(flow->in.way.mtu, 1500U);
    });
}

TEST_P(FlowInspectorOf, AsksTheGatewayThatTheRouteNames) {
    in_new_network([] {
        const Scene scene(GetParam());
        scene.join_again();
        const Stream stream = scene.call(scene.at.beyond);
        const FlowTuple tuple = sent(scene, stream, scene.at.beyond);
        const auto next_hop = [&] {
            const std::optional<Flow> flow = inspect(scene, tuple);
            return flow ? flow->out.way.next_hop.to_string() : "none";
        };
        EXPECT_EQ(next_hop(), scene.at.world);
        const std::string via = scene.at.second_next_hop;
        scene.ip({"route", "add", scene.at.beyond, "via", via, "dev", "wan2", "mtu", "1400"});
        EXPECT_EQ(next_hop(), via);
        EXPECT_EQ(inspect(scene, tuple)->uplink, link("wan2").index);
        EXPECT_EQ(inspect(scene, tuple)->out.way.mtu, 1400U);
        if (GetParam() == IpFamily::V6) {
            // Which one a packet takes hangs on its flow label too.
            scene.ip(
                {"route",
                 "replace",
                 scene.at.beyond,
                 "nexthop",
                 "via",
                 via,
                 "dev",
                 "wan2",
                 "nexthop",
                 "via",
                 scene.at.world,
                 "dev",
                 "wan0"});
            EXPECT_EQ(next_hop(), "none");
        }
        scene.ip({"route", "flush", scene.at.beyond});
        scene.ip({"route", "add", "unreachable", scene.at.beyond});
        EXPECT_EQ(next_hop(), "none");
    });
}

TEST_P(FlowInspectorOf, LeadsOnlyWhatTheHostForwards) {
    in_new_network([] {
        const Scene scene(GetParam());
        const Stream stream = scene.call();
        const FlowTuple tuple = sent(scene, stream, scene.at.world);
        EXPECT_TRUE(inspect(scene, tuple));
        const std::string key =
            GetParam() == IpFamily::V4 ? "net.ipv4.ip_forward=" : "net.ipv6.conf.all.forwarding=";
        output_of({"sysctl", "-qw", key + "0"});
        EXPECT_FALSE(inspect(scene, tuple));
        output_of({"sysctl", "-qw", key + "1"});
        EXPECT_TRUE(inspect(scene, tuple));
        FlowTuple unknown = tuple;
        ++unknown.source_port;
        EXPECT_FALSE(inspect(scene, unknown)) << "not tracked";
        FlowTuple foreign = tuple;
        foreign.source = *IpAddress::parse(GetParam() == IpFamily::V4 ? "172.17.0.9" : "fd17::9");
        EXPECT_FALSE(inspect(scene, foreign)) << "not the member's address";
    });
}

TEST(FlowInspector, KeepsToTheMtuOfIpv6) {
    in_new_network([] {
        const Scene scene(IpFamily::V6);
        const Stream stream = scene.call();
        const FlowTuple tuple = sent(scene, stream, scene.at.world);
        output_of({"sysctl", "-qw", "net.ipv6.conf.wan0.mtu=1400"});
        output_of({"sysctl", "-qw", "net.ipv6.conf.test0.mtu=1300"});
        const std::optional<Flow> flow = inspect(scene, tuple);
        ASSERT_TRUE(flow);
        EXPECT_EQ(flow->out.way.mtu, 1400U);
        EXPECT_EQ(flow->in.way.mtu, 1300U);
    });
}

} // namespace
} // namespace berth::network
