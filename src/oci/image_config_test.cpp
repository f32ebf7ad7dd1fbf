// SPDX-License-Identifier: Apache-2.0
// Image configurations: Docker's extra fields, checks, chain ids.
#include "oci/image_config.h"

#include <gtest/gtest.h>

namespace berth::oci {

TEST(ImageConfig, ReadsADockerConfiguration) {
    auto config = ImageConfig::parse(
        R"({"architecture":"amd64","os":"linux","created":"2024-01-02T03:04:05.5Z",
        "config":{"Env":["PATH=/bin"],"Cmd":["sh"],"Entrypoint":null,"ExposedPorts":{"80/tcp":{}},
        "Healthcheck":{"Test":["CMD","x"],"Interval":1000000000,"Retries":3},
        "Shell":["/bin/sh","-c"],"OnBuild":["RUN x"],"StopSignal":"SIGINT","Volumes":{"/v":{}},
        "Labels":{"a":"b"}},
        "rootfs":{"type":"layers","diff_ids":[")" +
        Digest::of("1").to_string() +
        R"("]},"history":[{"created":"2024-01-02T03:04:05Z","created_by":"x"},
        {"created_by":"CMD","empty_layer":true}]})");
    ASSERT_TRUE(config.ok()) << config.error().message();
    EXPECT_EQ(config->platform.to_string(), "linux/amd64");
    EXPECT_EQ(config->config.cmd, std::vector<std::string>{"sh"});
    EXPECT_EQ(config->config.healthcheck->retries, 3);
    EXPECT_EQ(config->config.stop_signal, "SIGINT");
    EXPECT_TRUE(config->config.volumes.contains("/v"));
    EXPECT_TRUE(config->history[1].empty_layer);
    EXPECT_EQ(*ImageConfig::parse(config->serialize()), *config);
}

TEST(ImageConfig, RejectsWhatIsNone) {
    EXPECT_FALSE(ImageConfig::parse("{}").ok());
    EXPECT_FALSE(ImageConfig::parse(R"({"rootfs":{"type":"btrfs","diff_ids":[]}})").ok());
    EXPECT_FALSE(ImageConfig::parse(R"({"rootfs":{"type":"layers","diff_ids":[""]}})").ok());
    EXPECT_FALSE(
        ImageConfig::parse(R"({"rootfs":{"type":"layers","diff_ids":[]},"history":[{}]})").ok());
}

TEST(ImageConfig, ComputesChainIds) {
    const Digest a = Digest::of("a");
    const Digest b = Digest::of("b");
    const Digest c = Digest::of("c");
    ImageConfig config;
    EXPECT_TRUE(config.chain_id().empty());
    config.rootfs.diff_ids = {a};
    EXPECT_EQ(config.chain_id(), a);
    config.rootfs.diff_ids = {a, b, c};
    const Digest ab = Digest::of(a.to_string() + " " + b.to_string());
    EXPECT_EQ(config.chain_id(), Digest::of(ab.to_string() + " " + c.to_string()));
}

} // namespace berth::oci
