// SPDX-License-Identifier: Apache-2.0
// Networks in the database, and those of data roots of before.
#include "base/file.h"
#include "engine/network_record.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

class NetworkRows : public ::testing::Test {
  protected:
    // A row as engines wrote it whose names were others than the API's.
    void insert_old(const std::string& name, const std::string& members) {
        static constexpr std::string_view steps[] = {
            "CREATE TABLE engine_networks (name TEXT PRIMARY KEY, id TEXT NOT NULL,"
            " created INTEGER NOT NULL, subnet TEXT NOT NULL)",
            "ALTER TABLE engine_networks ADD COLUMN definition TEXT NOT NULL DEFAULT ''"};
        ASSERT_TRUE(database_->migrate("engine_networks", steps).ok());
        auto transaction = database_->begin(store::Durability::Cache).value();
        {
            auto statement =
                transaction->prepare("INSERT INTO engine_networks VALUES (?, 'i', 1, '', ?)")
                    .value();
            const std::string definition =
                members.empty() ? members : R"({"Name":")" + name + R"(",)" + members + "}";
            ASSERT_TRUE(statement.bind(1, name).bind(2, definition).run().ok());
        }
        ASSERT_TRUE(transaction.commit().ok());
    }

    // The only one with a definition.
    NetworkInspect read() {
        auto networks = NetworkTable::open(*database_).value().load();
        EXPECT_TRUE(networks.ok() && networks->size() == 1);
        return std::move(networks->front());
    }

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::unique_ptr<store::Database> database_ =
        store::Database::open(directory_.path() + "/metadata.db").value();
};

TEST_F(NetworkRows, OfBeforeKeepTheirPoolsAndTheirOrigin) {
    insert_old("bridge", "");
    insert_old(
        "front",
        R"("Driver":"bridge","EnableIPv4":true,"EnableIPv6":false,"IpamDriver":"default",)"
        R"("IpamOptions":{"a":"b"},"IpamConfig":[{"Subnet":"10.9.0.0/24","Gateway":"10.9.0.1"}],)"
        R"("ChosenIPv4":true,"ConfigFrom":"plan","Options":{"o":"1"},"Labels":{"l":"2"})");
    const NetworkInspect network = read();
    EXPECT_EQ(network.name, "front");
    EXPECT_EQ(network.ipam.driver, "default");
    EXPECT_EQ(network.ipam.options, (StringMap{{"a", "b"}}));
    ASSERT_EQ(network.ipam.config.size(), 1U);
    EXPECT_EQ(network.ipam.config[0].subnet, "10.9.0.0/24");
    EXPECT_EQ(network.ipam.config[0].gateway, "10.9.0.1");
    EXPECT_TRUE(network.subnet_v4_is_chosen);
    EXPECT_FALSE(network.subnet_v6_is_chosen);
    EXPECT_EQ(network.config_from.network, "plan");
    EXPECT_EQ(network.labels, (StringMap{{"l", "2"}}));
}

TEST_F(NetworkRows, OfBeforeMayHaveNoPoolsAtAll) {
    insert_old(
        "own", R"("Driver":"macvlan","IpamDriver":"default","IpamConfig":[],"ConfigOnly":true)");
    const NetworkInspect network = read();
    EXPECT_TRUE(network.config_only);
    EXPECT_TRUE(network.ipam.config.empty());
    EXPECT_FALSE(network.ipam.options);
    EXPECT_TRUE(network.config_from.network.empty());
}

// Their containers' way out goes there, and the range's first address may be a container's.
TEST_F(NetworkRows, OfBeforeKeepTheirGateways) {
    insert_old(
        "ranged",
        R"("Driver":"bridge","IpamDriver":"default","IpamConfig":[)"
        R"({"Subnet":"10.9.0.0/16","IPRange":"10.9.4.0/24"},{"Subnet":"10.8.0.0/16"},)"
        R"({"Subnet":"10.7.0.0/16","IPRange":"10.7.4.0/24","Gateway":"10.7.9.9"}])");
    const NetworkInspect network = read();
    ASSERT_EQ(network.ipam.config.size(), 3U);
    EXPECT_EQ(network.ipam.config[0].gateway, "10.9.0.1");
    EXPECT_EQ(network.ipam.config[1].gateway, "");
    EXPECT_EQ(network.ipam.config[2].gateway, "10.7.9.9");
}

TEST_F(NetworkRows, ComeBackAsTheyWereWritten) {
    NetworkTable table = NetworkTable::open(*database_).value();
    NetworkInspect network{.name = "front", .id = "abc", .created = Timestamp::now()};
    network.driver = "bridge";
    network.ipam.config = {
        {.subnet = "fd00::/64", .ip_range = "fd00::8:0/112", .gateway = {}, .aux_addresses = {}}};
    network.subnet_v6_is_chosen = true;
    network.config_from.network = "plan";
    ASSERT_TRUE(table.insert(network).ok());
    const NetworkInspect again = read();
    EXPECT_EQ(again.id, "abc");
    ASSERT_EQ(again.ipam.config.size(), 1U);
    EXPECT_EQ(again.ipam.config[0].ip_range, "fd00::8:0/112");
    EXPECT_EQ(again.ipam.config[0].gateway, ""); // the engine's to choose
    EXPECT_TRUE(again.subnet_v6_is_chosen);
    EXPECT_FALSE(again.subnet_v4_is_chosen);
    EXPECT_EQ(again.config_from.network, "plan");
}

} // namespace
} // namespace berth::engine
