// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "network/resolv_conf.h"

#include <gtest/gtest.h>

namespace berth::network {
namespace {

TEST(ResolvConf, TakesTheHostsResolversSearchAndOptions) {
    EXPECT_EQ(
        container_resolv_conf(
            "# made by hand\nnameserver 10.0.0.53\nnameserver\t10.0.0.54 \nsearch a.example b\n"
            "options ndots:2 edns0\noptions rotate\n",
            {}),
        "nameserver 10.0.0.53\nnameserver 10.0.0.54\nsearch a.example b\n"
        "options ndots:2 edns0 rotate\n");
}

TEST(ResolvConf, LeavesOutResolversOnTheHostsLoopback) {
    EXPECT_EQ(
        container_resolv_conf("nameserver 127.0.0.1\nnameserver ::1\nnameserver 10.0.0.53\n", {}),
        "nameserver 10.0.0.53\n");
}

TEST(ResolvConf, FallsBackToPublicResolversAsDockerDoes) {
    EXPECT_EQ(
        container_resolv_conf("nameserver 127.0.0.1\nsearch home\n", {}),
        "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch home\n");
    EXPECT_EQ(container_resolv_conf("", {}), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
}

TEST(ResolvConf, LetsTheUserReplaceEachPart) {
    const std::string host = "nameserver 10.0.0.53\nsearch a\noptions ndots:2\n";
    EXPECT_EQ(
        container_resolv_conf(
            host, {.nameservers = {"127.0.0.11", "1.1.1.1"}, .search = {}, .options = {}}),
        "nameserver 127.0.0.11\nnameserver 1.1.1.1\nsearch a\noptions ndots:2\n");
    EXPECT_EQ(
        container_resolv_conf(
            host, {.nameservers = {}, .search = {"x", "y"}, .options = {"timeout:1"}}),
        "nameserver 10.0.0.53\nsearch x y\noptions timeout:1\n");
    EXPECT_EQ(
        container_resolv_conf(host, {.nameservers = {}, .search = {"."}, .options = {}}),
        "nameserver 10.0.0.53\noptions ndots:2\n");
}

TEST(ResolvConf, TakesTheLastSearchLineAndDomain) {
    const ResolvConf conf = parse_resolv_conf("search a b\ndomain c\nnameserver nonsense\nsearch");
    EXPECT_EQ(conf.search, std::vector<std::string>{"c"});
    EXPECT_TRUE(conf.nameservers.empty());
}

class HostFiles : public testing::Test {
  protected:
    std::string read(const std::string& etc, const std::string& resolved) {
        const TemporaryDirectory directory = TemporaryDirectory::create("/tmp").value();
        const std::string etc_path = directory.path() + "/etc";
        const std::string resolved_path = directory.path() + "/resolved";
        if (!etc.empty()) {
            EXPECT_TRUE(replace_file(etc_path, etc).ok());
        }
        if (!resolved.empty()) {
            EXPECT_TRUE(replace_file(resolved_path, resolved).ok());
        }
        return read_host_resolv_conf(etc_path, resolved_path).value();
    }
};

TEST_F(HostFiles, LooksBehindTheStubOfSystemdResolved) {
    const std::string stub = "nameserver 127.0.0.53\noptions edns0\n";
    const std::string real = "nameserver 10.0.0.53\n";
    EXPECT_EQ(read(stub, real), real);
    EXPECT_EQ(read(stub, ""), stub);
    EXPECT_EQ(read("nameserver 10.0.0.1\n", real), "nameserver 10.0.0.1\n");
    EXPECT_EQ(
        read("nameserver 127.0.0.53\nnameserver 10.0.0.1\n", real),
        "nameserver 127.0.0.53\nnameserver 10.0.0.1\n");
}

TEST_F(HostFiles, TakesAnAbsentFileAsEmpty) {
    EXPECT_EQ(read("", ""), "");
}

} // namespace
} // namespace berth::network
