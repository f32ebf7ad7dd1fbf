// SPDX-License-Identifier: Apache-2.0
// Values of more namespaces than share a directory.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/netlink_namespace.h"
#include "network/net_sysctls.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace berth::network {
namespace {

using kernel::NetworkNamespaceScope;

constexpr const char* first_port = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

TEST(NetSysctls, AreThoseOfTheThreadsNamespace) {
    const std::string before = *read_file(first_port);
    constexpr int namespaces = 150;
    for (int number = 1; number <= namespaces; ++number) {
        const auto scope = NetworkNamespaceScope::enter_new();
        ASSERT_TRUE(scope.ok()) << scope.error().message();
        NetSysctls sysctls;
        const std::string value = std::to_string(number);
        ASSERT_TRUE(sysctls.write("net.ipv4.ip_unprivileged_port_start", value).ok());
        EXPECT_TRUE(sysctls.write("net.core.somaxconn", "77").ok());
        EXPECT_EQ(trim(*read_file(first_port)), value);
        EXPECT_EQ(trim(*read_file("/proc/sys/net/core/somaxconn")), "77");
    }
    EXPECT_EQ(*read_file(first_port), before);
}

TEST(NetSysctls, SayWhatIsNotThere) {
    const auto scope = NetworkNamespaceScope::enter_new();
    ASSERT_TRUE(scope.ok());
    NetSysctls sysctls;
    const auto missing = sysctls.write("net.ipv4.no_such_value", "1");
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().error_number(), ENOENT);
    const auto refused = sysctls.write("net.ipv4.ip_unprivileged_port_start", "70000");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().error_number(), EINVAL);
}

} // namespace
} // namespace berth::network
