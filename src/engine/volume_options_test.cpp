// SPDX-License-Identifier: Apache-2.0
// Options of the local volume driver.
#include "engine/volume_local.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

std::string options_error(const StringMap& options) {
    auto parsed = parse_local_options(options);
    return parsed.ok() ? "" : parsed.error().message();
}

Result<std::string> resolve(const std::string& host) {
    if (host == "files.example") {
        return std::string("192.0.2.7");
    }
    return Error(ErrorKind::Unavailable, "lookup " + host + ": no such host");
}

TEST(LocalOptions, NeedWhatDockerNeeds) {
    EXPECT_EQ(options_error({}), "");
    EXPECT_EQ(options_error({{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=1m"}}), "");
    EXPECT_EQ(options_error({{"type", "tmpfs"}}), "missing required option: \"device\"");
    EXPECT_EQ(options_error({{"device", "/x"}}), "missing required option: \"type\"");
    EXPECT_EQ(options_error({{"o", "ro"}}), "missing required option: \"device\"");
    EXPECT_EQ(
        options_error({{"type", "tmpfs"}, {"device", ""}}), "missing device in volume options");
    EXPECT_EQ(options_error({{"Type", "nfs"}}), "invalid option: \"Type\"");
}

TEST(LocalOptions, SizeIsTheDriversOrStandsAloneInO) {
    EXPECT_EQ(parse_local_options({{"size", "10m"}}).value().size, 10U << 20);
    const LocalOptions podmans = parse_local_options({{"o", "size=1g,uid=7,gid=8"}}).value();
    EXPECT_EQ(podmans.size, 1U << 30);
    EXPECT_EQ(podmans.uid, 7U);
    EXPECT_EQ(podmans.gid, 8U);
    EXPECT_FALSE(podmans.has_source());
    // With anything else it belongs to a mount.
    EXPECT_EQ(options_error({{"o", "size=1g,ro"}}), "missing required option: \"device\"");
    EXPECT_NE(options_error({{"type", "ext4"}, {"device", "/x"}, {"size", "1m"}}), "");
}

TEST(MountArguments, AddressesOfNetworkFileSystemsAreResolved) {
    const auto arguments = [](const LocalOptions& options) {
        return mount_arguments(options, resolve).value();
    };
    EXPECT_EQ(
        arguments({.type = "nfs", .device = ":/data", .options = "addr=files.example,rw"}).options,
        "addr=192.0.2.7,rw,nfsvers=3");
    EXPECT_EQ(
        arguments({.type = "nfs", .device = ":/data", .options = "addr=10.0.0.1"}).options,
        "addr=10.0.0.1,nfsvers=3");
    for (const char* version : {"vers=4.2", "nfsvers=4", "v4.1"}) {
        const std::string said = std::string("addr=10.0.0.1,") + version;
        EXPECT_EQ(arguments({.type = "nfs", .device = ":/", .options = said}).options, said);
    }
    EXPECT_EQ(
        arguments({.type = "nfs4", .device = "10.0.0.1:/", .options = ""}).options, "nfsvers=4");
    EXPECT_EQ(
        arguments({.type = "cifs", .device = "//files.example/share", .options = "username=a"})
            .device,
        "//192.0.2.7/share");
    EXPECT_EQ(
        arguments({.type = "cifs", .device = "//10.0.0.1/share", .options = ""}).device,
        "//10.0.0.1/share");
    // Only those two have addresses.
    EXPECT_EQ(
        arguments({.type = "tmpfs", .device = "tmpfs", .options = "addr=files.example"}).options,
        "addr=files.example");
    EXPECT_EQ(
        mount_arguments({.type = "nfs", .device = ":/", .options = "addr=absent"}, resolve)
            .error()
            .message(),
        "error resolving passed in network volume address: lookup absent: no such host");
}

} // namespace
} // namespace berth::engine
