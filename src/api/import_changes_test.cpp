// SPDX-License-Identifier: Apache-2.0
// Dockerfile instructions as changes to an image's configuration.
#include "api/import_changes.h"

#include <gtest/gtest.h>

namespace berth::api {

TEST(ImportChanges, FillTheConfiguration) {
    const auto changed = apply_changes(
        {},
        {"CMD [\"/hello\"]",
         "ENTRYPOINT run this",
         "ENV A=1 B=\"two words\"",
         "ENV A=$B",
         "EXPOSE 80 53/udp",
         "LABEL who=me",
         "USER nobody",
         "VOLUME /data",
         "WORKDIR /srv/../app"});
    ASSERT_TRUE(changed.ok()) << changed.error().message();
    const oci::ContainerDefaults* config = &changed->config;
    EXPECT_TRUE(changed->sets_entrypoint);
    EXPECT_EQ(config->cmd, std::vector<std::string>{"/hello"});
    EXPECT_EQ(config->entrypoint, (std::vector<std::string>{"/bin/sh", "-c", "run this"}));
    EXPECT_EQ(config->env, (std::vector<std::string>{"A=two words", "B=two words"}));
    EXPECT_TRUE(config->exposed_ports.contains("80/tcp"));
    EXPECT_TRUE(config->exposed_ports.contains("53/udp"));
    EXPECT_EQ(config->labels.at("who"), "me");
    EXPECT_EQ(config->user, "nobody");
    EXPECT_TRUE(config->volumes.contains("/data"));
    EXPECT_EQ(config->working_dir, "/app");
}

TEST(ImportChanges, RefuseWhatNeedsABuild) {
    const auto run = apply_changes({}, {"RUN ls"});
    ASSERT_FALSE(run.ok());
    EXPECT_EQ(run.error().kind(), ErrorKind::InvalidArgument);
    EXPECT_EQ(run.error().message(), "RUN is not a valid change command");
    EXPECT_FALSE(apply_changes({}, {"NONSENSE x"}).ok());
}

TEST(ImportChanges, AreOneDockerfileOverWhatIsThere) {
    oci::ContainerDefaults base;
    base.env = {"PATH=/bin", "HOME=/"};
    base.cmd = {"old"};
    base.entrypoint = {"old"};
    const auto changed = apply_changes(
        base,
        {"ENV PATH=$PATH:/opt\nUSER 1000",
         "ENTRYPOINT []",
         "HEALTHCHECK --interval=5s --retries=2 CMD true"});
    ASSERT_TRUE(changed.ok()) << changed.error().message();
    EXPECT_EQ(changed->config.env, (std::vector<std::string>{"PATH=/bin:/opt", "HOME=/"}));
    EXPECT_EQ(changed->config.user, "1000");
    EXPECT_TRUE(changed->sets_entrypoint);
    EXPECT_TRUE(changed->config.entrypoint.empty());
    EXPECT_TRUE(changed->config.cmd.empty());
    ASSERT_TRUE(changed->config.healthcheck);
    EXPECT_EQ(changed->config.healthcheck->test, (std::vector<std::string>{"CMD-SHELL", "true"}));
    EXPECT_EQ(changed->config.healthcheck->retries, 2);
}

TEST(ImportChanges, SayWhatIsWrongAsDockerDoes) {
    const auto message = [](const std::string& change) {
        const auto changed = apply_changes({}, {change});
        return changed.ok() ? "" : changed.error().message();
    };
    EXPECT_EQ(message("ENV"), "ENV requires at least one argument");
    EXPECT_EQ(message("HEALTHCHECK FOO"), "Unknown type \"FOO\" in HEALTHCHECK (try CMD)");
    EXPECT_EQ(message("USER a\nFoo x"), "Foo is not a valid change command");
}

} // namespace berth::api
