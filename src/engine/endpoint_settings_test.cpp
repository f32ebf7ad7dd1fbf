// SPDX-License-Identifier: Apache-2.0
#include "engine/endpoint_settings.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

// A network that can be joined, as far as the choice of gateways looks at it.
class NoNetwork final : public network::Network {
  public:
    Result<network::Endpoint> connect(const network::EndpointRequest&) override {
        return not_implemented("connect");
    }

    Result<void> disconnect(const std::string&, network::Detach) override { return ok(); }

    Result<std::vector<network::BoundPort>>
    publish(const std::string&, const std::vector<network::PortRequest>&) override {
        return std::vector<network::BoundPort>();
    }

    Result<void> unpublish(const std::string&, const std::vector<network::BoundPort>&) override {
        return ok();
    }

    const std::string& name() const override { return name_; }

    kernel::IpAddress gateway() const override { return {}; }

    std::optional<kernel::IpAddress> gateway_v6() const override { return std::nullopt; }

    std::uint32_t mtu() const override { return 1500; }

    std::size_t endpoint_count() const override { return 0; }

  private:
    std::string name_ = "none";
};

KnownNetwork network_named(const std::string& name, bool v4 = true, bool v6 = false) {
    KnownNetwork network;
    network.info.name = name;
    network.info.enable_ipv4 = v4;
    network.info.enable_ipv6 = v6;
    network.network = std::make_shared<NoNetwork>();
    return network;
}

std::string problem_of(const std::string& name, const EndpointSettings& settings) {
    const auto checked = check_endpoint_settings(name, nullptr, settings);
    return checked.ok() ? "" : checked.error().message();
}

TEST(EndpointSettings, TakesTheWayOutByPriorityThenByName) {
    const KnownNetwork a = network_named("a");
    const KnownNetwork b = network_named("b");
    EXPECT_EQ(choose_gateways({{&b, 0}, {&a, 0}}).v4, 1U);
    EXPECT_EQ(choose_gateways({{&b, 1}, {&a, 0}}).v4, 0U);
    EXPECT_EQ(choose_gateways({{&b, 0}, {&a, -1}}).v4, 0U);
    EXPECT_FALSE(choose_gateways({{&a, 0}}).v6);
}

TEST(EndpointSettings, TakesNoInternalNetworkForTheWayOut) {
    KnownNetwork closed = network_named("a");
    closed.info.internal = true;
    const KnownNetwork open = network_named("b");
    EXPECT_EQ(choose_gateways({{&closed, 9}, {&open, 0}}).v4, 1U);
    EXPECT_FALSE(choose_gateways({{&closed, 9}}).v4);
}

TEST(EndpointSettings, PrefersNetworksOfBothFamiliesAmongEquals) {
    const KnownNetwork a = network_named("a");
    const KnownNetwork dual = network_named("z", true, true);
    const KnownNetwork six = network_named("b", false, true);
    const GatewayChoice choice = choose_gateways({{&a, 0}, {&dual, 0}, {&six, 0}});
    EXPECT_EQ(choice.v4, 1U);
    EXPECT_EQ(choice.v6, 1U);
    const GatewayChoice split = choose_gateways({{&a, 1}, {&dual, 0}, {&six, 2}});
    EXPECT_EQ(split.v4, 0U);
    EXPECT_EQ(split.v6, 2U);
}

TEST(EndpointSettings, RefusesInDockersWords) {
    EndpointSettings settings;
    settings.ipam_config = EndpointIpamConfig{.ipv4_address = "172.17.0.9"};
    EXPECT_EQ(
        problem_of("bridge", settings),
        "invalid endpoint settings:\n"
        "user specified IP address is supported on user defined networks only");
    settings.ipam_config = EndpointIpamConfig{.ipv4_address = "x", .ipv6_address = "10.0.0.1"};
    EXPECT_EQ(
        problem_of("web", settings),
        "invalid endpoint settings:\n* invalid IPv4 address: x\n* invalid IPv6 address: 10.0.0.1");
    settings.ipam_config.reset();
    settings.mac_address = "no";
    EXPECT_EQ(problem_of("web", settings), "invalid MAC address no");
    for (const std::string mac : {"01:00:5e:00:00:01", "00:00:00:00:00:00"}) {
        settings.mac_address = mac;
        EXPECT_EQ(
            problem_of("web", settings),
            "invalid MAC address " + mac + ": no interface can have it");
    }
    settings.mac_address.clear();
    settings.links = {"db", "db:store", "a:b:c"};
    EXPECT_EQ(problem_of("web", settings), "bad format for links: a:b:c");
    settings.links.clear();
    settings.ipam_config = EndpointIpamConfig{.link_local_ips = {"169.254.1.1", "fe80::9"}};
    EXPECT_EQ(problem_of("web", settings), "");
    settings.ipam_config->link_local_ips.emplace_back("10.1.1.1");
    EXPECT_EQ(problem_of("web", settings), "invalid link local IP address: 10.1.1.1");
}

TEST(EndpointSettings, HoldsAddressesAgainstTheSubnetsOfTheirFamilyThatAUserChose) {
    KnownNetwork network = network_named("web");
    network.info.ipam.config = {{.subnet = "10.1.0.0/16"}, {.subnet = "fd00::/64"}};
    network.info.subnet_v6_is_chosen = true;
    const auto problem = [&network](const EndpointIpamConfig& ipam) {
        EndpointSettings settings;
        settings.ipam_config = ipam;
        const auto checked = check_endpoint_settings("web", &network, settings);
        return checked.ok() ? "" : checked.error().message();
    };
    const std::string start = "invalid endpoint settings:\n";
    const std::string outside = "no configured subnet or ip-range contain the IP address ";
    const std::string not_chosen = "user specified IP address is supported only when connecting to "
                                   "networks with user configured subnets";
    EXPECT_EQ(problem({.ipv4_address = "10.1.2.3"}), "");
    EXPECT_EQ(problem({.ipv4_address = "10.2.2.3"}), start + outside + "10.2.2.3");
    EXPECT_EQ(problem({.ipv6_address = "fd00::5"}), start + not_chosen);
    EXPECT_EQ(
        problem({.ipv4_address = "x"}), start + "* invalid IPv4 address: x\n* " + outside + "x");
    network.info.ipam.config.pop_back();
    EXPECT_EQ(problem({.ipv6_address = "fd00::5"}), start + not_chosen);
}

TEST(EndpointSettings, LetsASysctlSetNothingButItsInterface) {
    EndpointSettings settings;
    const std::string name = "com.docker.network.endpoint.sysctls";
    settings.driver_opts[name] =
        "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.forwarding=0";
    EXPECT_EQ(problem_of("web", settings), "");
    const auto request = endpoint_request(settings);
    ASSERT_TRUE(request.ok());
    ASSERT_EQ(request->sysctls.size(), 2U);
    EXPECT_EQ(request->sysctls[0].first, "net.ipv4.conf.IFNAME.log_martians");
    EXPECT_EQ(request->sysctls[0].second, "1");
    for (const char* bad :
         {"net.ipv4.ip_forward=1",
          "net.ipv4.conf.all.log_martians=1",
          "net.ipv4.conf.IFNAME../../../x=1",
          "",
          "kernel.a.b.IFNAME.c=1"}) {
        settings.driver_opts[name] = bad;
        EXPECT_NE(problem_of("web", settings), "") << bad;
    }
}

TEST(EndpointSettings, NamesAContainerOnceForEachWord) {
    ContainerDefinition definition;
    definition.id = std::string(64, 'a');
    definition.name = "web";
    definition.config.hostname = "web";
    EndpointSettings settings;
    settings.aliases = {"front", "web"};
    EXPECT_EQ(
        dns_names(definition, settings),
        (std::vector<std::string>{"web", "front", "aaaaaaaaaaaa"}));
}

} // namespace
} // namespace berth::engine
