// SPDX-License-Identifier: Apache-2.0
// Containers in the database, and those of data roots of before.
#include "base/file.h"
#include "engine/container_record.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

class ContainerRows : public ::testing::Test {
  protected:
    // A row as the first engines wrote it.
    void insert_old(
        const std::string& id,
        const std::string& mode,
        const std::string& networking,
        const std::string& endpoints = "[]",
        const std::string& links = "null") {
        static constexpr std::string_view steps[] = {
            "CREATE TABLE engine_containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
            " definition TEXT NOT NULL, life TEXT NOT NULL)"};
        ASSERT_TRUE(database_->migrate("engine_containers", steps).ok());
        auto transaction = database_->begin(store::Durability::Cache).value();
        {
            auto statement =
                transaction->prepare("INSERT INTO engine_containers VALUES (?, ?, ?, ?)").value();
            const std::string definition =
                R"({"Id":")" + id + R"(","Name":")" + id + R"(","HostConfig":{"NetworkMode":")" +
                mode + R"(","Links":)" + links + R"(},"Networking":)" + networking + "}";
            const std::string life =
                R"({"State":{"Status":"exited"},"Endpoints":)" + endpoints + "}";
            ASSERT_TRUE(
                statement.bind(1, id).bind(2, id).bind(3, definition).bind(4, life).run().ok());
        }
        ASSERT_TRUE(transaction.commit().ok());
    }

    // Of the only row.
    ContainerRecord read() {
        auto records = ContainerTable::open(*database_).value().load();
        EXPECT_TRUE(records.ok() && records->size() == 1);
        return std::move(records->front());
    }

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::unique_ptr<store::Database> database_ =
        store::Database::open(directory_.path() + "/metadata.db").value();
};

TEST_F(ContainerRows, OfBeforeAreInTheNetworkOfTheirMode) {
    insert_old("c1", "host", R"({"EndpointsConfig":{}})");
    const ContainerRecord record = read();
    EXPECT_EQ(record.definition->networking.endpoints_config.size(), 1U);
    EXPECT_TRUE(record.definition->networking.endpoints_config.contains("host"));
    EXPECT_TRUE(record.life.endpoints.empty());
}

TEST_F(ContainerRows, OfBeforeKeepTheSettingsOfTheDefaultNetwork) {
    insert_old(
        "c1", "bridge", R"({"EndpointsConfig":{"default":{"MacAddress":"02:00:00:00:00:01"}}})");
    const auto networks = read().definition->networking.endpoints_config;
    EXPECT_EQ(networks.size(), 1U);
    EXPECT_EQ(networks.at("bridge").mac_address, "02:00:00:00:00:01");
}

TEST_F(ContainerRows, OfBeforeThatRunKnowTheirInterface) {
    insert_old(
        "c1",
        "bridge",
        R"({"EndpointsConfig":null})",
        R"([{"Network":"bridge","Id":"e","HostInterface":"veth1"}])");
    const ContainerRecord record = read();
    EXPECT_TRUE(record.definition->networking.endpoints_config.contains("bridge"));
    ASSERT_EQ(record.life.endpoints.size(), 1U);
    EXPECT_EQ(record.life.endpoints[0].interface_name, "eth0");
}

TEST_F(ContainerRows, OfBeforeThatShareANetworkHaveNone) {
    insert_old("c1", "container:c2", R"({"EndpointsConfig":{}})");
    EXPECT_TRUE(read().definition->networking.endpoints_config.empty());
}

TEST_F(ContainerRows, OfBeforeKeepTheirLinks) {
    insert_old(
        "web", "bridge", R"({"EndpointsConfig":{}})", "[]", R"(["/db:/web/store","/c-1:/web/c"])");
    const ContainerRecord record = read();
    const std::vector<ContainerLink>& links = record.definition->links;
    ASSERT_EQ(links.size(), 2U);
    EXPECT_EQ(links[0].name, "db");
    EXPECT_EQ(links[0].alias, "store");
    EXPECT_EQ(links[1].name, "c-1");
    EXPECT_EQ(links[1].alias, "c");
    EXPECT_TRUE(record.definition->host_config.links.empty());
}

TEST_F(ContainerRows, OfBeforeKeepWhatNetworksOfUsersCallLinks) {
    insert_old("web", "front", R"({"EndpointsConfig":{"front":{}}})", "[]", R"(["db:store"])");
    const ContainerRecord record = read();
    EXPECT_TRUE(record.definition->links.empty());
    EXPECT_EQ(record.definition->host_config.links, std::vector<std::string>{"db:store"});
}

} // namespace
} // namespace berth::engine
