// SPDX-License-Identifier: Apache-2.0
// The shapes that Docker's clients take apart: null, [] and {} in their places.
#include "api/wire/container.h"

#include <gtest/gtest.h>

namespace berth::api::wire {

TEST(ContainerWire, TakesOneStringForACommand) {
    json::Value document = *json::parse(R"({"Image":"x","cmd":"ls","Entrypoint":["a","b"]})");
    widen_string_lists(document);
    const auto body = json::decode<CreateBody>(document);
    ASSERT_TRUE(body.ok()) << body.error().message();
    EXPECT_EQ(body->config.cmd, std::vector<std::string>{"ls"});
    EXPECT_EQ(body->config.entrypoint, (std::vector<std::string>{"a", "b"}));
}

TEST(ContainerWire, DecodesWhatTheCommandLineSends) {
    const auto body = json::decode_text<CreateBody>(R"({
        "Hostname":"","Tty":true,"OpenStdin":true,"Env":null,"Cmd":["sh"],"Image":"alpine",
        "Volumes":{},"WorkingDir":"","Entrypoint":null,"Labels":{},
        "HostConfig":{"Binds":["/a:/b"],"NetworkMode":"default",
          "PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},
          "RestartPolicy":{"Name":"no","MaximumRetryCount":0},"ConsoleSize":[24,80],
          "MemorySwappiness":-1,"PidsLimit":0,"Init":null},
        "NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,"Aliases":null}}}})");
    ASSERT_TRUE(body.ok()) << body.error().message();
    EXPECT_FALSE(body->config.entrypoint.has_value());
    EXPECT_EQ(body->host_config.port_bindings.at("80/tcp")[0].host_port, "8080");
    EXPECT_EQ(body->host_config.console_size[1], 80U);
    EXPECT_FALSE(body->host_config.init.has_value());
    EXPECT_TRUE(body->networking_config.endpoints_config.contains("default"));
}

TEST(ContainerWire, PrintsAnExposedPortWithoutBindingsAsNull) {
    EXPECT_EQ(
        json::serialize(encode_ports({{"80/tcp", {}}, {"81/tcp", {{"0.0.0.0", "8081"}}}})),
        R"({"80/tcp":null,"81/tcp":[{"HostIp":"0.0.0.0","HostPort":"8081"}]})");
}

TEST(ContainerWire, WritesStateAsWordsAndFlags) {
    engine::ContainerInspect container;
    container.state.status = engine::ContainerStatus::Paused;
    const json::Value value = encode_inspect(container, maximum_version);
    const json::Object& state = value.at("State").as_object();
    EXPECT_EQ(state.at("Status").as_string(), "paused");
    EXPECT_TRUE(state.at("Running").as_bool());
    EXPECT_TRUE(state.at("Paused").as_bool());
    EXPECT_FALSE(state.at("Restarting").as_bool());
    EXPECT_EQ(state.at("FinishedAt").as_string(), "0001-01-01T00:00:00Z");
    EXPECT_EQ(state.find("Health"), state.end());
    EXPECT_TRUE(value.at("ExecIDs").is_null());
    EXPECT_EQ(value.as_object().find("SizeRw"), value.as_object().end());
    EXPECT_TRUE(value.at("Mounts").as_array().empty());
}

TEST(ContainerWire, RepeatsTheBridgesAddressesAtTheTopBefore152) {
    engine::ContainerInspect container;
    container.network_settings.networks["bridge"].ip_address = "172.17.0.2";
    const json::Value value = encode_inspect(container, {1, 51});
    EXPECT_EQ(value.at("NetworkSettings").at("IPAddress").as_string(), "172.17.0.2");
    EXPECT_EQ(
        value.at("NetworkSettings").at("Networks").at("bridge").at("IPAddress").as_string(),
        "172.17.0.2");
    const json::Value now = encode_inspect(container, {1, 52});
    EXPECT_FALSE(now.at("NetworkSettings").as_object().contains("IPAddress"));
    EXPECT_FALSE(now.at("Config").as_object().contains("OnBuild"));
}

TEST(ContainerWire, LeavesNewNamesOutOfOldVersions) {
    const std::map<std::string, engine::EndpointSettings> networks{{"bridge", {}}};
    const auto members = [&](ApiVersion version) {
        return json::encode(encode_networks(networks, version)).at("bridge").as_object();
    };
    EXPECT_FALSE(members({1, 41}).contains("GwPriority"));
    EXPECT_FALSE(members({1, 41}).contains("DNSNames"));
    EXPECT_FALSE(members({1, 44}).contains("GwPriority"));
    EXPECT_TRUE(members({1, 44}).contains("DNSNames"));
    EXPECT_TRUE(members(maximum_version).contains("GwPriority"));
}

TEST(ContainerWire, WritesAListsLine) {
    engine::ContainerSummary container;
    container.id = "abc";
    container.name = "/web";
    container.created = Timestamp::from_seconds(5);
    container.state.status = engine::ContainerStatus::Exited;
    container.status = "Exited (0) 2 minutes ago";
    container.network_mode = "bridge";
    std::string line;
    append_summary(line, container, {1, 51});
    EXPECT_EQ(
        line,
        R"({"Id":"abc","Names":["/web"],"Image":"","ImageID":"","Command":"","Created":5,)"
        R"("Ports":[],"Labels":{},"State":"exited","Status":"Exited (0) 2 minutes ago",)"
        R"("HostConfig":{"NetworkMode":"bridge"},"NetworkSettings":{"Networks":{}},"Mounts":[]})");
    EXPECT_EQ(json::serialize(encode_summary(container, {1, 51})), line);
    EXPECT_EQ(
        json::serialize(encode_summary(container, {1, 52}).at("Health")),
        R"({"Status":"none","FailingStreak":0})");
}

} // namespace berth::api::wire
