// SPDX-License-Identifier: Apache-2.0
// Old clients' configurations keep the meaning they had.
#include "api/create_compatibility.h"

#include <gtest/gtest.h>

namespace berth::api {

namespace {

constexpr ApiVersion today = maximum_version;

std::string error_of(engine::CreateRequest request, ApiVersion version) {
    auto adapted = adapt_to_version(request, version);
    return adapted.ok() ? "" : adapted.error().message();
}

engine::CreateRequest with_mount(engine::Mount mount) {
    engine::CreateRequest request;
    request.host_config.mounts.push_back(std::move(mount));
    return request;
}

} // namespace

TEST(CreateCompatibility, NamesTheDefaultNetwork) {
    engine::CreateRequest request;
    request.host_config.network_mode = "default";
    request.networking_config.endpoints_config["default"].aliases = {"web"};
    ASSERT_TRUE(adapt_to_version(request, today).ok());
    EXPECT_EQ(request.host_config.network_mode, "bridge");
    EXPECT_EQ(
        request.networking_config.endpoints_config.at("bridge").aliases,
        std::vector<std::string>{"web"});
}

TEST(CreateCompatibility, OldVersionsShareIpcAndIgnoreWhatTheyDidNotKnow) {
    engine::CreateRequest request;
    request.host_config.auto_remove = true;
    request.host_config.annotations["a"] = "b";
    request.host_config.console_size = {24, 80};
    ASSERT_TRUE(adapt_to_version(request, {1, 24}).ok());
    EXPECT_EQ(request.host_config.ipc_mode, "shareable");
    EXPECT_FALSE(request.host_config.auto_remove);
    EXPECT_TRUE(request.host_config.annotations.empty());
    EXPECT_EQ(request.host_config.console_size[0], 0U);
}

TEST(CreateCompatibility, ZeroAndNegativePidsLimitsMeanNone) {
    for (const std::int64_t limit : {0, -1, -7}) {
        engine::CreateRequest request;
        request.host_config.pids_limit = limit;
        ASSERT_TRUE(adapt_to_version(request, today).ok());
        EXPECT_FALSE(request.host_config.pids_limit.has_value());
    }
}

TEST(CreateCompatibility, RefusesOptionsOfAnotherMountType) {
    const auto request = with_mount({.type = "bind", .volume_options = engine::VolumeOptions{}});
    EXPECT_EQ(
        error_of(request, today), "VolumeOptions must not be specified on mount type \"bind\"");
    EXPECT_EQ(error_of(request, {1, 41}), "");
}

TEST(CreateCompatibility, RefusesNewMountOptionsFromOldClients) {
    EXPECT_EQ(
        error_of(
            with_mount({.type = "volume", .volume_options = engine::VolumeOptions{.subpath = "x"}}),
            {1, 44}),
        "VolumeOptions.Subpath needs API v1.45 or newer");
}

TEST(CreateCompatibility, MovesTheMacAddressToTheEndpoint) {
    engine::CreateRequest request;
    request.config.mac_address = "02:42:ac:11:00:02";
    engine::CreateRequest later = request;
    const auto warnings = adapt_to_version(request, {1, 51});
    ASSERT_TRUE(warnings.ok());
    EXPECT_EQ(warnings->size(), 1U);
    EXPECT_EQ(request.config.mac_address, "");
    EXPECT_EQ(
        request.networking_config.endpoints_config.at("bridge").mac_address, "02:42:ac:11:00:02");
    // Since 1.52 it is no member any more.
    EXPECT_TRUE(adapt_to_version(later, {1, 52})->empty());
    EXPECT_EQ(later.config.mac_address, "");
    EXPECT_TRUE(later.networking_config.endpoints_config.empty());
}

TEST(CreateCompatibility, MovesAnInterfacesSysctlsToItsEndpoint) {
    engine::CreateRequest request;
    request.host_config.sysctls = {
        {"net.ipv4.conf.eth0.log_martians", "1"}, {"net.ipv4.ip_forward", "1"}};
    EXPECT_EQ(
        error_of(request, {1, 48}),
        "interface specific sysctl setting \"net.ipv4.conf.eth0.log_martians\" must be supplied "
        "using driver option 'com.docker.network.endpoint.sysctls'");
    const auto warnings = adapt_to_version(request, {1, 47});
    ASSERT_TRUE(warnings.ok());
    ASSERT_EQ(warnings->size(), 1U);
    EXPECT_EQ(
        warnings->front(),
        "Migrated sysctl \"net.ipv4.conf.eth0.log_martians\" to "
        "DriverOpts{\"com.docker.network.endpoint.sysctls\":"
        "\"net.ipv4.conf.IFNAME.log_martians=1\"}.");
    EXPECT_EQ(request.host_config.sysctls.size(), 1U);
    EXPECT_EQ(
        request.networking_config.endpoints_config.at("bridge").driver_opts.at(
            "com.docker.network.endpoint.sysctls"),
        "net.ipv4.conf.IFNAME.log_martians=1");
    engine::CreateRequest other;
    other.host_config.sysctls = {{"net.ipv4.conf.eth1.log_martians", "1"}};
    EXPECT_NE(error_of(other, {1, 47}), "");
}

TEST(CreateCompatibility, PublishesAPortWithoutBindings) {
    engine::CreateRequest request;
    request.host_config.port_bindings["80/tcp"];
    engine::CreateRequest old = request;
    EXPECT_EQ(
        adapt_to_version(request, {1, 52})->front(),
        "Following container port(s) have an empty list of port-bindings: 80/tcp. Such bindings "
        "will be discarded in a future version.");
    EXPECT_EQ(request.host_config.port_bindings.at("80/tcp").size(), 1U);
    EXPECT_TRUE(adapt_to_version(old, {1, 51})->empty());
    EXPECT_EQ(old.host_config.port_bindings.at("80/tcp").size(), 1U);
}

TEST(CreateCompatibility, WarnsOfAVolumeDriverThatMountsDoNotUse) {
    auto request = with_mount({.type = "volume"});
    request.host_config.volume_driver = "other";
    EXPECT_EQ(adapt_to_version(request, {1, 48})->size(), 1U);
    EXPECT_TRUE(adapt_to_version(request, {1, 47})->empty());
}

TEST(CreateCompatibility, NoPrioritiesOfGatewaysBefore148) {
    engine::CreateRequest request;
    request.networking_config.endpoints_config["bridge"].gw_priority = 5;
    ASSERT_TRUE(adapt_to_version(request, {1, 47}).ok());
    EXPECT_EQ(request.networking_config.endpoints_config.at("bridge").gw_priority, 0);
}

TEST(CreateCompatibility, RefusesSeveralNetworksBefore144) {
    engine::CreateRequest request;
    request.networking_config.endpoints_config["a"];
    request.networking_config.endpoints_config["b"];
    EXPECT_EQ(
        error_of(request, {1, 43}),
        "Container cannot be created with multiple network endpoints: a, b");
    EXPECT_EQ(error_of(request, {1, 44}), "");
}

} // namespace berth::api
