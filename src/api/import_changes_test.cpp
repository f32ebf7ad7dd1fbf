// SPDX-License-Identifier: Apache-2.0
// Dockerfile instructions as changes to an image's configuration.
#include "api/import_changes.h"

#include <gtest/gtest.h>

namespace berth::api {

TEST(ImportChanges, FillTheConfiguration) {
    const auto config = parse_changes(
        {"CMD [\"/hello\"]",
         "ENTRYPOINT run this",
         "ENV A=1 B=\"two words\"",
         "ENV A=$B",
         "EXPOSE 80 53/udp",
         "LABEL who=me",
         "USER nobody",
         "VOLUME /data",
         "WORKDIR /srv/../app"});
    ASSERT_TRUE(config.ok()) << config.error().message();
    EXPECT_EQ(config->cmd, std::vector<std::string>{"/hello"});
    EXPECT_EQ(config->entrypoint, (std::vector<std::string>{"/bin/sh", "-c", "run this"}));
    EXPECT_EQ(config->env, (std::vector<std::string>{"B=two words", "A=two words"}));
    EXPECT_TRUE(config->exposed_ports.contains("80/tcp"));
    EXPECT_TRUE(config->exposed_ports.contains("53/udp"));
    EXPECT_EQ(config->labels.at("who"), "me");
    EXPECT_EQ(config->user, "nobody");
    EXPECT_TRUE(config->volumes.contains("/data"));
    EXPECT_EQ(config->working_dir, "/app");
}

TEST(ImportChanges, RefuseWhatNeedsABuild) {
    const auto run = parse_changes({"RUN ls"});
    ASSERT_FALSE(run.ok());
    EXPECT_EQ(run.error().kind(), ErrorKind::InvalidArgument);
    EXPECT_EQ(run.error().message(), "run is not a valid change command");
    EXPECT_FALSE(parse_changes({"NONSENSE x"}).ok());
}

} // namespace berth::api
