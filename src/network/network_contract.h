// SPDX-License-Identifier: Apache-2.0
// The suite of what every network must do. A driver's test instantiates it for its networks.
#pragma once

#include "kernel/netlink_test_support.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

namespace berth::network {

struct NetworkVariant {
    std::string name;
    // In 10.77.0.0/24 and, when `v6`, fd00:77::/64; the gateways are the first addresses.
    std::function<std::shared_ptr<Network>(NetworkDriver& driver, bool v6)> make;
    std::function<void()> prepare_host{}; // in the test's namespace, before all else
    // Others than the network itself may give the addresses: in an order and words of their own.
    bool lowest_first = true;
    std::string in_use = "Address already in use";
    bool own_mac = true; // each container has one, and gets the one that it asks for
    // Whether this kernel can make it, asked in the test's namespace; else there is no test.
    std::function<bool()> is_possible{};
};

class NetworkContract : public ::testing::TestWithParam<NetworkVariant> {
  protected:
    static void in_host_network(const std::function<void()>& body) {
        kernel::in_new_network([&] {
            if (GetParam().is_possible && !GetParam().is_possible()) {
                return;
            }
            if (GetParam().prepare_host) {
                GetParam().prepare_host();
            }
            body();
        });
    }
};

} // namespace berth::network
