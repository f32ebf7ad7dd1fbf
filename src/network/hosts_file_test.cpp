// SPDX-License-Identifier: Apache-2.0
#include "network/hosts_file.h"

#include <gtest/gtest.h>

namespace berth::network {
namespace {

using kernel::IpAddress;

constexpr std::string_view default_lines = "127.0.0.1\tlocalhost\n"
                                           "::1\tlocalhost ip6-localhost ip6-loopback\n"
                                           "fe00::\tip6-localnet\n"
                                           "ff00::\tip6-mcastprefix\n"
                                           "ff02::1\tip6-allnodes\n"
                                           "ff02::2\tip6-allrouters\n";

std::string lines_of(const HostsOptions& options) {
    const Result<std::string> text = hosts_file(options);
    EXPECT_TRUE(text.ok()) << (text.ok() ? "" : text.error().message());
    EXPECT_TRUE(text.value().starts_with(default_lines));
    return text.value().substr(default_lines.size());
}

HostsOptions options_with_host(const std::string& extra_host) {
    HostsOptions options;
    options.extra_hosts = {extra_host};
    return options;
}

TEST(HostsFile, NamesTheContainerAtItsAddresses) {
    HostsOptions options;
    options.hostname = "0123456789ab";
    options.addresses = {*IpAddress::parse("172.17.0.2"), *IpAddress::parse("172.18.0.2")};
    EXPECT_EQ(lines_of(options), "172.17.0.2\t0123456789ab\n172.18.0.2\t0123456789ab\n");
}

TEST(HostsFile, ListsFullNameAndHostName) {
    HostsOptions options;
    options.hostname = "web";
    options.domainname = "example.org";
    options.addresses = {*IpAddress::parse("172.17.0.2")};
    EXPECT_EQ(lines_of(options), "172.17.0.2\tweb.example.org web\n");
    options.hostname = "web.example.net";
    options.domainname = "";
    EXPECT_EQ(lines_of(options), "172.17.0.2\tweb.example.net web\n");
}

TEST(HostsFile, AddsExtraHosts) {
    EXPECT_EQ(lines_of(options_with_host("db:10.0.0.7")), "10.0.0.7\tdb\n");
    EXPECT_EQ(lines_of(options_with_host("db=10.0.0.7")), "10.0.0.7\tdb\n");
    EXPECT_EQ(lines_of(options_with_host("db:fd00::7")), "fd00::7\tdb\n");
    EXPECT_EQ(lines_of(options_with_host("db=[fd00::7]")), "fd00::7\tdb\n");
}

TEST(HostsFile, ListsNothingOfIpv6WhereThereIsNone) {
    HostsOptions options = options_with_host("db:fd00::7");
    options.extra_hosts.push_back("gate:host-gateway");
    options.host_gateways = {*IpAddress::parse("fd00::1")};
    options.hostname = "web";
    options.addresses = {*IpAddress::parse("172.17.0.2"), *IpAddress::parse("fd00::2")};
    options.has_ipv6 = false;
    EXPECT_EQ(hosts_file(options).value(), "127.0.0.1\tlocalhost\n172.17.0.2\tweb\n");
}

TEST(HostsFile, ResolvesTheHostGateway) {
    HostsOptions options = options_with_host("host.docker.internal:host-gateway");
    options.host_gateways = {*IpAddress::parse("172.17.0.1")};
    EXPECT_EQ(lines_of(options), "172.17.0.1\thost.docker.internal\n");
    options.host_gateways.push_back(*IpAddress::parse("fd00::1"));
    EXPECT_EQ(
        lines_of(options), "172.17.0.1\thost.docker.internal\nfd00::1\thost.docker.internal\n");
    options.host_gateways.clear();
    EXPECT_FALSE(hosts_file(options).ok());
}

TEST(HostsFile, RefusesMalformedExtraHosts) {
    for (const char* entry : {"", "db", "db:", ":10.0.0.7", "db:10.0.0", "a\nb:10.0.0.7", "db=x"}) {
        EXPECT_FALSE(hosts_file(options_with_host(entry)).ok()) << entry;
    }
}

TEST(HostsFile, GivesTheLinesOfALinkAnotherAddress) {
    const std::string text = "127.0.0.1\tlocalhost\n10.0.0.2\tdb dbhost store\n# mine\n"
                             "fd00::2\tdb dbhost store\n10.0.0.3\tdb dbhost2\n10.0.0.4\tdb";
    EXPECT_EQ(
        replace_hosts_lines(text, "db dbhost", {"10.0.0.9\tdb dbhost"}),
        "127.0.0.1\tlocalhost\n10.0.0.9\tdb dbhost\n# mine\n10.0.0.3\tdb dbhost2\n10.0.0.4\tdb\n");
    EXPECT_EQ(
        replace_hosts_lines(text, "db dbhost", {}),
        "127.0.0.1\tlocalhost\n# mine\n10.0.0.3\tdb dbhost2\n10.0.0.4\tdb\n");
    EXPECT_EQ(replace_hosts_lines("a\tb\n", "db dbhost", {"x\tdb dbhost"}), "a\tb\n");
}

} // namespace
} // namespace berth::network
