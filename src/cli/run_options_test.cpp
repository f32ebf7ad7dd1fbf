// SPDX-License-Identifier: Apache-2.0
#include "cli/published_port.h"
#include "cli/run_options.h"

#include <gtest/gtest.h>

namespace berth::cli {
namespace {

Result<std::string> body_of(const std::vector<std::string>& arguments) {
    Flags flags(Flags::Interspersed::No);
    RunOptions options;
    options.declare(flags);
    std::vector<std::string> rest = TRY(flags.parse(arguments));
    json::Value body = TRY(options.create_body(rest));
    return json::serialize(body);
}

bool body_has(const std::vector<std::string>& arguments, const std::string& part) {
    Result<std::string> body = body_of(arguments);
    EXPECT_TRUE(body.ok()) << body.error().message();
    bool found = body.ok() && body->find(part) != std::string::npos;
    EXPECT_TRUE(found) << *body << "\nlacks " << part;
    return found;
}

TEST(RunOptions, CommandAndEntrypointBecomeLists) {
    body_has({"--entrypoint", "echo", "image", "a", "b"}, R"("Cmd":["a","b"])");
    body_has({"--entrypoint", "echo", "image"}, R"("Entrypoint":["echo"])");
    body_has({"image"}, R"("Cmd":null)");
}

TEST(RunOptions, GpusAreRequestsForDevices) {
    body_has({"--gpus", "all", "image"}, R"("Count":-1,"DeviceIDs":null,"Capabilities":[["gpu"]])");
    body_has({"--gpus", "2", "image"}, R"("Count":2)");
    body_has(
        {"--gpus", R"("device=0,GPU-1",driver=nvidia)", "image"},
        R"("Driver":"nvidia","Count":0,"DeviceIDs":["0","GPU-1"])");
    body_has(
        {"--gpus", R"("capabilities=compute,utility")", "image"},
        R"("Count":1,"DeviceIDs":null,"Capabilities":[["compute","utility","gpu"]])");
    body_has(
        {"--device", "vendor.com/gpu=0", "--gpus", "count=1", "image"},
        R"("DeviceRequests":[{"Driver":"cdi","DeviceIDs":["vendor.com/gpu=0"]},{"Driver":"")");
    EXPECT_FALSE(body_of({"--gpus", "some", "image"}).ok());
    EXPECT_FALSE(body_of({"--gpus", "count=1,2", "image"}).ok());
    EXPECT_FALSE(body_of({"--gpus", "color=red", "image"}).ok());
}

TEST(RunOptions, DevicesHaveLimits) {
    body_has(
        {"--device-read-bps", "/dev/sda:1mb", "image"},
        R"("BlkioDeviceReadBps":[{"Path":"/dev/sda","Rate":1048576}])");
    body_has(
        {"--device-write-iops", "/dev/sda:7", "image"},
        R"("BlkioDeviceWriteIOps":[{"Path":"/dev/sda","Rate":7}])");
    body_has(
        {"--blkio-weight-device", "/dev/sda:200", "--blkio-weight", "300", "image"},
        R"("BlkioWeightDevice":[{"Path":"/dev/sda","Weight":200}])");
    body_has({"--device-cgroup-rule", "c 1:3 r", "image"}, R"("DeviceCgroupRules":["c 1:3 r"])");
    EXPECT_FALSE(body_of({"--device-read-bps", "sda:1mb", "image"}).ok());
    EXPECT_FALSE(body_of({"--device-read-iops", "/dev/sda:x", "image"}).ok());
    EXPECT_FALSE(body_of({"--blkio-weight-device", "/dev/sda:5", "image"}).ok());
}

TEST(RunOptions, StorageOptionsAndAnnotationsArePairs) {
    body_has({"--storage-opt", "size=1G", "image"}, R"("StorageOpt":{"size":"1G"})");
    body_has({"--annotation", "a=b", "image"}, R"("Annotations":{"a":"b"})");
}

TEST(RunOptions, ResourcesAreInTheApisUnits) {
    body_has({"-m", "64m", "image"}, R"("Memory":67108864)");
    body_has({"--cpus", "1.5", "image"}, R"("NanoCpus":1500000000)");
    body_has({"--pids-limit", "7", "image"}, R"("PidsLimit":7)");
    EXPECT_FALSE(body_of({"-m", "much", "image"}).ok());
    EXPECT_FALSE(body_of({"--cpus", "many", "image"}).ok());
}

TEST(RunOptions, VolumesAreBindsOrAnonymous) {
    body_has({"-v", "data:/d:ro", "image"}, R"("Binds":["data:/d:ro"])");
    body_has({"-v", "/anonymous", "image"}, R"("Volumes":{"/anonymous":{}})");
}

TEST(RunOptions, MountsAreCsvWithDockersKeys) {
    body_has(
        {"--mount", "type=bind,src=/a,dst=/b,ro,bind-recursive=writable", "image"},
        R"("Mounts":[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,)"
        R"("BindOptions":{"ReadOnlyNonRecursive":true}}])");
    body_has(
        {"--mount",
         R"("volume-opt=o=size=1m,uid=5",dst=/b,volume-label=x=y,volume-subpath=s)",
         "i"},
        R"("VolumeOptions":{"DriverConfig":{"Options":{"o":"size=1m,uid=5"}},)"
        R"("Labels":{"x":"y"},"Subpath":"s"})");
    body_has(
        {"--mount", "type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=1777", "i"},
        R"("TmpfsOptions":{"SizeBytes":1048576,"Mode":1023})");
    body_has(
        {"--mount", "type=image,src=alpine,dst=/b,image-subpath=etc", "i"},
        R"("ImageOptions":{"Subpath":"etc"})");
    body_has({"--volume-driver", "x", "image"}, R"("VolumeDriver":"x")");
    const auto error_of = [](const std::string& mount) {
        return body_of({"--mount", mount, "image"}).error().message();
    };
    EXPECT_EQ(
        error_of("type=tmpfs"),
        R"(invalid argument "type=tmpfs" for "--mount" flag: target is required)");
    EXPECT_NE(error_of("dst=/b,ro=maybe").find("invalid value for ro: maybe"), std::string::npos);
    EXPECT_NE(
        error_of("dst=/b,x").find("invalid field 'x' must be a key=value"), std::string::npos);
    EXPECT_NE(error_of("dst=\"/b").find("parse error"), std::string::npos);
}

TEST(RunOptions, InputIsAttachedOnlyWhenInteractive) {
    body_has({"image"}, R"("AttachStdin":false)");
    body_has({"-i", "image"}, R"("StdinOnce":true)");
    body_has({"-a", "stderr", "image"}, R"("AttachStdout":false)");
}

struct PortCase {
    std::string text;
    std::string bindings;
};

class PortTest : public testing::TestWithParam<PortCase> {};

TEST_P(PortTest, ReadsDockersGrammar) {
    json::Object exposed;
    json::Object bindings;
    Result<void> added = add_published_port(GetParam().text, exposed, bindings);
    ASSERT_TRUE(added.ok()) << added.error().message();
    EXPECT_EQ(json::serialize(json::Value(bindings)), GetParam().bindings);
    EXPECT_EQ(exposed.size(), bindings.size());
}

INSTANTIATE_TEST_SUITE_P(
    RunOptions,
    PortTest,
    testing::Values(
        PortCase{"80", R"({"80/tcp":[{"HostIp":"","HostPort":""}]})"},
        PortCase{"8080:80", R"({"80/tcp":[{"HostIp":"","HostPort":"8080"}]})"},
        PortCase{
            "127.0.0.1:8080:80/udp", R"({"80/udp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]})"},
        PortCase{"127.0.0.1::80", R"({"80/tcp":[{"HostIp":"127.0.0.1","HostPort":""}]})"},
        PortCase{"[::1]:8080:80", R"({"80/tcp":[{"HostIp":"::1","HostPort":"8080"}]})"},
        PortCase{"9000-9005:80", R"({"80/tcp":[{"HostIp":"","HostPort":"9000-9005"}]})"},
        PortCase{
            "90-91:80-81",
            R"({"80/tcp":[{"HostIp":"","HostPort":"90"}],"81/tcp":[{"HostIp":"","HostPort":"91"}]})"}));

TEST(RunOptions, RefusesPortsThatAreNone) {
    json::Object exposed;
    json::Object bindings;
    for (const char* bad : {"", "x:80", "70000:80", "80/ftp", "90-92:80-81", "0", ":"}) {
        EXPECT_FALSE(add_published_port(bad, exposed, bindings).ok()) << bad;
    }
}

TEST(RunOptions, ReadsSizes) {
    EXPECT_EQ(parse_bytes("1g").value(), 1073741824);
    EXPECT_EQ(parse_bytes("1.5KiB").value(), 1536);
    EXPECT_EQ(parse_bytes("7").value(), 7);
    EXPECT_EQ(parse_bytes("-1").value(), -1);
    for (const char* bad : {"", "m", "1x", "-5m", "1mm"}) {
        EXPECT_FALSE(parse_bytes(bad).ok()) << bad;
    }
}

} // namespace
} // namespace berth::cli
