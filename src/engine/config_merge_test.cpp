// SPDX-License-Identifier: Apache-2.0
// A container's configuration from the user's and the image's.
#include "engine/config_check.h"
#include "engine/config_merge.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

using Words = std::vector<std::string>;

TEST(ConfigMerge, TakesTheImagesCommandOnlyWithoutAnOwnEntrypoint) {
    ContainerConfig image;
    image.entrypoint = Words{"/entry"};
    image.cmd = Words{"default"};

    ContainerConfig plain;
    merge_image_config(plain, image);
    EXPECT_EQ(plain.entrypoint, Words{"/entry"});
    EXPECT_EQ(plain.cmd, Words{"default"});

    ContainerConfig with_command;
    with_command.cmd = Words{"mine"};
    merge_image_config(with_command, image);
    EXPECT_EQ(with_command.entrypoint, Words{"/entry"});
    EXPECT_EQ(with_command.cmd, Words{"mine"});

    ContainerConfig with_entrypoint;
    with_entrypoint.entrypoint = Words{"/mine"};
    merge_image_config(with_entrypoint, image);
    EXPECT_FALSE(with_entrypoint.cmd);
}

TEST(ConfigMerge, AnEmptyEntrypointTakesTheImagesAway) {
    ContainerConfig image;
    image.entrypoint = Words{"/entry"};
    ContainerConfig user;
    user.entrypoint = Words{""};
    user.cmd = Words{"ls"};
    merge_image_config(user, image);
    ASSERT_TRUE(check_command(user).ok());
    EXPECT_EQ(command_line(user).path, "ls");

    ContainerConfig nothing;
    nothing.entrypoint = Words{""};
    merge_image_config(nothing, image);
    EXPECT_EQ(check_command(nothing).error().message(), "no command specified");
}

TEST(ConfigMerge, OwnVariablesAndLabelsWin) {
    ContainerConfig image;
    image.env = {"A=1", "B=2"};
    image.labels = {{"x", "image"}, {"y", "image"}};
    ContainerConfig user;
    user.env = {"B=3"};
    user.labels = {{"x", "user"}};
    merge_image_config(user, image);
    EXPECT_EQ(user.env, (Words{"B=3", "A=1"}));
    EXPECT_EQ(user.labels, (StringMap{{"x", "user"}, {"y", "image"}}));
}

TEST(ConfigMerge, EnvironmentStartsWithDefaultsThatCanBeReplacedAndRemoved) {
    ContainerConfig config;
    config.hostname = "box";
    config.tty = true;
    config.env = {"PATH=/bin", "HOSTNAME", "C=1"};
    EXPECT_EQ(container_environment(config), (Words{"PATH=/bin", "TERM=xterm", "C=1"}));
}

class ConfigCheck : public testing::Test {
  protected:
    std::string error_of() {
        auto checked = check_and_complete(config_, host_, daemon_);
        return checked.ok() ? "" : checked.error().message();
    }

    ContainerConfig config_;
    HostConfig host_;
    DaemonConfig daemon_;
};

TEST_F(ConfigCheck, FillsInDefaults) {
    EXPECT_EQ(error_of(), "");
    EXPECT_EQ(host_.network_mode, "bridge");
    EXPECT_EQ(host_.restart_policy.name, "no");
    EXPECT_EQ(host_.shm_size, 64 << 20);
    EXPECT_EQ(host_.ipc_mode, "private");
    EXPECT_EQ(host_.log_config.type, "local");
}

TEST_F(ConfigCheck, KnowsOneModeOfUserNamespaces) {
    host_.userns_mode = "private";
    auto checked = check_and_complete(config_, host_, daemon_);
    ASSERT_FALSE(checked.ok());
    EXPECT_EQ(checked.error().kind(), ErrorKind::InvalidArgument);
    EXPECT_EQ(checked.error().message(), "invalid USER mode: private");
    daemon_.userns_remap = "default";
    host_.userns_mode.clear();
    host_.privileged = true;
    EXPECT_FALSE(check_and_complete(config_, host_, daemon_).ok());
    host_.userns_mode = "host";
    EXPECT_TRUE(check_and_complete(config_, host_, daemon_).ok());
}

TEST_F(ConfigCheck, SpeaksDockersWords) {
    config_.working_dir = "relative";
    EXPECT_EQ(
        error_of(), "the working directory 'relative' is invalid, it needs to be an absolute path");
    config_.working_dir.clear();
    host_.memory = 1024;
    EXPECT_EQ(error_of(), "Minimum memory limit allowed is 6MB");
    host_.memory = 0;
    host_.restart_policy.name = "always";
    host_.auto_remove = true;
    EXPECT_EQ(error_of(), "can't create 'AutoRemove' container with restart policy");
    host_.auto_remove = false;
    host_.cap_add = {"NOPE"};
    EXPECT_NE(error_of(), "");
    host_.cap_add.clear();
    host_.security_opt = {"nonsense"};
    EXPECT_EQ(error_of(), "invalid --security-opt 1: \"nonsense\"");
    host_.security_opt.clear();
    host_.network_mode = "container:x";
    config_.hostname = "y";
    EXPECT_EQ(error_of(), "conflicting options: hostname and the network mode");
}

TEST_F(ConfigCheck, SocketFamiliesAreTheDaemonsUnlessTheContainerSaysOtherwise) {
    using runtime::SocketFamilies;
    auto families = [this](const std::vector<std::string>& options) {
        auto parsed = parse_security_options(options, daemon_);
        EXPECT_TRUE(parsed.ok());
        return parsed.ok() ? parsed->socket_families : SocketFamilies::All;
    };
    EXPECT_EQ(families({}), SocketFamilies::All);
    EXPECT_EQ(families({"socket-families=limited"}), SocketFamilies::Limited);
    daemon_.socket_families = "limited";
    EXPECT_EQ(families({}), SocketFamilies::Limited);
    EXPECT_EQ(families({"socket-families=all"}), SocketFamilies::All);
    host_.security_opt = {"socket-families=inet"};
    EXPECT_EQ(
        error_of(), "invalid --security-opt socket-families: \"inet\" is neither all nor limited");
}

} // namespace
} // namespace berth::engine
