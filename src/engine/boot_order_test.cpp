// SPDX-License-Identifier: Apache-2.0
// Who waits for whom when the engine starts.
#include "engine/boot_order.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace berth::engine {
namespace {

class BootOrderTest : public testing::Test {
  protected:
    ContainerDefinition& add(const std::string& name) {
        auto definition = std::make_shared<ContainerDefinition>();
        definition->name = name;
        definition->id = std::string(60, 'a') + std::to_string(1000 + definitions_.size());
        definitions_.push_back(definition);
        return *definition;
    }

    // Names as they come when each is finished at once; "|" between the rounds.
    std::string order() {
        BootOrder order({definitions_.begin(), definitions_.end()});
        std::vector<std::size_t> ready = order.take_first();
        std::string text;
        while (!ready.empty()) {
            std::vector<std::size_t> next;
            text += text.empty() ? "" : "|";
            for (const std::size_t number : ready) {
                text += definitions_[number]->name;
                std::ranges::copy(order.finish(number), std::back_inserter(next));
            }
            ready = next;
        }
        return text;
    }

    std::vector<std::shared_ptr<ContainerDefinition>> definitions_;
};

TEST_F(BootOrderTest, WhoNeedsNobodyComesAtOnce) {
    add("a");
    add("b").host_config.network_mode = "bridge";
    add("c").host_config.network_mode = "container:gone";
    EXPECT_EQ(order(), "abc");
}

TEST_F(BootOrderTest, NamespacesVolumesAndLinksAreNeeds) {
    add("a").host_config.network_mode = "container:c";
    add("b").host_config.ipc_mode = "container:a";
    add("c").host_config.volumes_from = {"d:ro"};
    add("d");
    add("e").host_config.pid_mode = "container:" + definitions_[1]->id;
    add("f").links = {{.id = definitions_[3]->id, .name = "was", .alias = "x"}};
    add("g").links = {{.id = "gone", .name = "f", .alias = "x"}};
    EXPECT_EQ(order(), "d|cf|ag|b|e");
}

TEST_F(BootOrderTest, OneWaitsForAllThatItNeeds) {
    ContainerDefinition& last = add("z");
    last.host_config.network_mode = "container:a";
    last.host_config.volumes_from = {"a", "b"};
    add("a");
    add("b").host_config.network_mode = "container:a";
    EXPECT_EQ(order(), "a|b|z");
}

TEST_F(BootOrderTest, TheBeginningOfAnIdNamesItWhenThereIsOne) {
    add("a").host_config.network_mode = "container:" + std::string(60, 'a') + "1001";
    add("b");
    add("c").host_config.network_mode = "container:aaaa"; // three begin so
    EXPECT_EQ(order(), "bc|a");
}

TEST_F(BootOrderTest, CirclesWaitForNobodyInThem) {
    add("a").host_config.network_mode = "container:b";
    ContainerDefinition& second = add("b");
    second.host_config.ipc_mode = "container:a";
    second.host_config.volumes_from = {"d"};
    add("c").host_config.volumes_from = {"b"};
    add("d");
    add("e").host_config.network_mode = "container:e";
    const std::string came = order();
    EXPECT_EQ(came.size(), std::string("acde|b").size());
    EXPECT_LT(came.find('d'), came.find('b'));
}

} // namespace
} // namespace berth::engine
