// SPDX-License-Identifier: Apache-2.0
// The numbers are dockerd 29's.
#include "api/wire/network_status.h"

#include <gtest/gtest.h>

namespace berth::api::wire {

TEST(NetworkStatus, CountsWhatIsNeverGivenOut) {
    engine::NetworkInspect network;
    network.ipam.config = {{.subnet = "10.10.0.0/24", .gateway = "10.10.0.1"}};
    EXPECT_EQ(
        json::serialize(encode_network_status(network)),
        R"({"IPAM":{"Subnets":{"10.10.0.0/24":{"IPsInUse":3,"DynamicIPsAvailable":253}}}})");
    network.containers["a"] = {.ipv4_address = "10.10.0.2/24"};
    network.containers["b"] = {.ipv4_address = "10.10.0.3/24"};
    EXPECT_EQ(
        json::serialize(encode_network_status(network)),
        R"({"IPAM":{"Subnets":{"10.10.0.0/24":{"IPsInUse":5,"DynamicIPsAvailable":251}}}})");
}

TEST(NetworkStatus, TellsWhatTheRangeHasLeft) {
    engine::NetworkInspect network;
    network.ipam.config = {
        {.subnet = "192.168.0.0/24",
         .ip_range = "192.168.0.8/31",
         .gateway = "192.168.0.1",
         .aux_addresses = {{"in", "192.168.0.8"}, {"out", "192.168.0.77"}}},
        {.subnet = "fd00::/64", .ip_range = "fd00::/120", .gateway = "fd00::1"},
        {.subnet = "fd01::/56"}};
    EXPECT_EQ(
        json::serialize(encode_network_status(network).at("IPAM").at("Subnets")),
        R"({"192.168.0.0/24":{"IPsInUse":5,"DynamicIPsAvailable":1},)"
        R"("fd00::/64":{"IPsInUse":2,"DynamicIPsAvailable":254},)"
        R"("fd01::/56":{"IPsInUse":1,"DynamicIPsAvailable":18446744073709551615}})");
}

} // namespace berth::api::wire
