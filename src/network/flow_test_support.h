// SPDX-License-Identifier: Apache-2.0
// A host with a network, a container with a published port, and the world outside, for connections
// of either version of IP.
#pragma once

#include "kernel/netlink_test_support.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"
#include "network/stream_test_support.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <unistd.h>

namespace berth::network {

// Of one version.
struct SceneAddresses {
    std::string host; // by "wan0"
    std::string world;
    std::string second_host; // by "wan2": join_again()
    std::string second_world;
    std::string second_next_hop; // in IPv6 link-local, as those of router advertisements are
    std::string beyond;          // what the world leads to
    std::string everything;
    std::string subnet;
    std::string prefix; // behind the addresses of the wires
    std::string any;
};

inline SceneAddresses scene_addresses(kernel::IpFamily family) {
    if (family == kernel::IpFamily::V4) {
        return {
            .host = "10.99.0.1",
            .world = "10.99.0.2",
            .second_host = "10.98.0.1",
            .second_world = "10.98.0.2",
            .second_next_hop = "10.98.0.2",
            .beyond = "10.77.0.9",
            .everything = "0.0.0.0/0",
            .subnet = "172.17.0.0/16",
            .prefix = "/24",
            .any = "0.0.0.0"};
    }
    return {
        .host = "fd99::1",
        .world = "fd99::2",
        .second_host = "fd98::1",
        .second_world = "fd98::2",
        .second_next_hop = "fe80::98:2",
        .beyond = "fd77::9",
        .everything = "::/0",
        .subnet = "fd17::/64",
        .prefix = "/64",
        .any = "::"};
}

struct Scene {
    // The network has IPv4 in any case.
    explicit Scene(
        kernel::IpFamily version,
        const std::function<void(BridgeOptions&)>& change = {},
        RateLimits rates = {})
        : family(version)
        , at(scene_addresses(version))
        , outside(make_outside_world()) {
        if (family == kernel::IpFamily::V6) {
            join_world_v6();
        }
        driver = start_driver();
        BridgeOptions options = bridge_options("test0", "172.17.0.0/16");
        if (family == kernel::IpFamily::V6) {
            options.subnet_v6 = *IpPrefix::parse(at.subnet);
        }
        if (change) {
            change(options);
        }
        network = create(*driver, options);
        web = connect(
            *network,
            {.id = "web", .container_name = {}, .ports = {tcp(8080, 80, at.any)}, .rates = rates});
        listener.emplace(web.netns, at.any, std::uint16_t{80});
        world_listener.emplace(outside, at.any, std::uint16_t{90});
    }

    // Of the container.
    kernel::IpAddress container() const {
        return family == kernel::IpFamily::V4 ? web.ip : *web.ip_v6;
    }

    // From the world to the published port.
    Stream visit(std::uint16_t own_port = 0) const {
        return Stream(outside, at.host, 8080, *listener, own_port);
    }

    // From the container to the world.
    Stream call(const std::string& address) const {
        return Stream(web.netns, address, 90, *world_listener);
    }

    Stream call() const { return call(at.world); }

    // A second wire to the world, "wan2", and what only gateways lead to.
    void join_again() const {
        const std::string world =
            "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(outside.get());
        kernel::output_of(
            {"ip", "link", "add", "wan2", "type", "veth", "peer", "name", "wan3", "netns", world});
        kernel::output_of({"ip", "link", "set", "wan2", "up"});
        add_address(at.second_host + at.prefix, "wan2");
        within(outside, [this] {
            kernel::output_of({"ip", "link", "set", "wan3", "up"});
            kernel::output_of({"ip", "link", "set", "lo", "up"});
            add_address(at.second_world + at.prefix, "wan3");
            if (at.second_next_hop != at.second_world) {
                add_address(at.second_next_hop + at.prefix, "wan3");
            }
            add_address(at.beyond, "lo");
            // For its wires' own only.
            kernel::output_of({"sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"});
        });
    }

    // A command of ip(8) for this version.
    std::string ip(std::vector<std::string> words) const {
        words.insert(words.begin(), {"ip", family == kernel::IpFamily::V4 ? "-4" : "-6"});
        return kernel::output_of(words);
    }

    kernel::IpFamily family;
    SceneAddresses at;
    UniqueFd outside;
    std::unique_ptr<NetworkDriver> driver;
    std::shared_ptr<BridgeNetwork> network;
    Endpoint web;
    std::optional<Listener> listener;
    std::optional<Listener> world_listener;

  private:
    void add_address(const std::string& address, const char* interface) const {
        // "nodad": nobody is waited for who might have it.
        ip({"address", "add", address, "dev", interface, "nodad"});
    }

    void join_world_v6() const {
        add_address(at.host + at.prefix, "wan0");
        ip({"route", "add", "default", "via", at.world});
        within(outside, [this] { add_address(at.world + at.prefix, "wan1"); });
    }
};

inline std::string version_name(const testing::TestParamInfo<kernel::IpFamily>& info) {
    return info.param == kernel::IpFamily::V4 ? "V4" : "V6";
}

} // namespace berth::network
