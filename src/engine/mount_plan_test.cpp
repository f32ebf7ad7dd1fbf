// SPDX-License-Identifier: Apache-2.0
// -v, --mount, --tmpfs and VOLUME to one list.
#include "engine/mount_plan.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

class MountPlan : public testing::Test {
  protected:
    Result<std::vector<PlannedMount>> plan() {
        return plan_mounts(config_, host_, [this](const std::string&) {
            return Result<std::vector<PlannedMount>>(other_);
        });
    }

    std::string error_of() {
        auto planned = plan();
        return planned.ok() ? "" : planned.error().message();
    }

    ContainerConfig config_;
    HostConfig host_;
    std::vector<PlannedMount> other_;
};

TEST_F(MountPlan, TellsBindsVolumesAndAnonymousVolumesApart) {
    host_.binds = {"/srv:/a:ro", "data:/b", "/c"};
    auto mounts = plan().value();
    ASSERT_EQ(mounts.size(), 3U);
    EXPECT_EQ(mounts[0].point.type, "bind");
    EXPECT_FALSE(mounts[0].point.read_write);
    EXPECT_TRUE(mounts[0].create_source);
    EXPECT_EQ(mounts[1].point.name, "data");
    EXPECT_TRUE(mounts[1].copy_up);
    EXPECT_FALSE(mounts[1].anonymous);
    EXPECT_TRUE(mounts[2].anonymous);
}

TEST_F(MountPlan, OwnMountsWinOverTheImagesVolumes) {
    config_.volumes = {{"/data", {}}, {"/other", {}}};
    host_.binds = {"/srv:/data/"};
    auto mounts = plan().value();
    ASSERT_EQ(mounts.size(), 2U);
    EXPECT_EQ(mounts[0].point.type, "bind");
    EXPECT_TRUE(mounts[1].anonymous);
}

TEST_F(MountPlan, RejectsWrongOnesInDockersWords) {
    host_.binds = {"/a:/b:ro:x"};
    EXPECT_EQ(error_of(), "invalid volume specification: '/a:/b:ro:x'");
    host_.binds = {"/a:b"};
    EXPECT_EQ(
        error_of(),
        "invalid volume specification: '/a:b': invalid mount config for type \"bind\": "
        "invalid mount path: 'b' mount path must be absolute");
    host_.binds = {"/a:rw"};
    EXPECT_EQ(error_of(), "invalid volume specification: '/a:rw'");
    host_.binds = {"data:/b:rshared"};
    EXPECT_EQ(
        error_of(),
        "invalid volume specification: 'data:/b:rshared': invalid mount config for type "
        "\"volume\": field BindOptions must not be specified");
    host_.binds = {"/a:/b:rw,ro"};
    EXPECT_EQ(error_of(), "invalid mode: rw,ro");
    host_.binds = {"/a:/b", "/c:/b"};
    EXPECT_EQ(error_of(), "Duplicate mount point: /b");
    host_.binds = {"/a:/"};
    EXPECT_NE(error_of().find("destination can't be '/'"), std::string::npos);
    host_.binds = {"x:/b"};
    EXPECT_EQ(
        error_of(),
        "create x: volume name is too short, names should be at least two alphanumeric characters");
    host_.binds = {"../x:/b"};
    EXPECT_NE(error_of().find("includes invalid characters"), std::string::npos);
    host_.binds.clear();
    host_.mounts = {Mount{.type = "bind", .source = "/not/there/at/all", .target = "/b"}};
    EXPECT_EQ(
        error_of(),
        "invalid mount config for type \"bind\": bind source path does not exist: "
        "/not/there/at/all");
}

TEST_F(MountPlan, InheritsFromOtherContainers) {
    PlannedMount mount;
    mount.point.type = "volume";
    mount.point.name = "shared";
    mount.point.destination = "/shared";
    mount.anonymous = true;
    other_ = {mount};
    host_.volumes_from = {"web:ro"};
    auto mounts = plan().value();
    ASSERT_EQ(mounts.size(), 1U);
    EXPECT_FALSE(mounts[0].point.read_write);
    EXPECT_TRUE(mounts[0].inherited);
    EXPECT_TRUE(mounts[0].anonymous); // it goes with the last container that is removed with it
}

TEST_F(MountPlan, TakesOwnersAndLabels) {
    host_.binds = {"data:/a:U,ro", "/srv:/b:idmap,Z"};
    VolumeOptions options{
        .driver_config = VolumeDriverConfig{
            .name = "local", .options = {{"berth.owner", "exchange"}, {"size", "1m"}}}};
    host_.mounts = {
        Mount{.type = "volume", .source = "own", .target = "/c", .volume_options = options}};
    auto mounts = plan().value();
    EXPECT_EQ(mounts[0].owner, MountOwner::Change);
    EXPECT_EQ(mounts[1].owner, MountOwner::Exchange);
    EXPECT_EQ(mounts[1].selinux_label, "Z");
    EXPECT_EQ(mounts[2].owner, MountOwner::Exchange);
    EXPECT_EQ(mounts[2].volume_options, (StringMap{{"size", "1m"}})); // not the driver's business
    host_.mounts[0].volume_options->driver_config->options["berth.owner"] = "me";
    EXPECT_NE(error_of().find("invalid value for berth.owner"), std::string::npos);
}

TEST_F(MountPlan, RejectsOptionsThatContradict) {
    const auto with = [this](Mount mount) {
        host_.mounts = {std::move(mount)};
        return error_of();
    };
    const std::string bind = "invalid mount config for type \"bind\": ";
    EXPECT_EQ(
        with(
            {.type = "bind",
             .source = "/",
             .target = "/b",
             .bind_options = BindOptions{.read_only_non_recursive = true}}),
        bind + "BindOptions.ReadOnlyNonRecursive needs the mount to be read-only");
    EXPECT_EQ(
        with(
            {.type = "bind",
             .source = "/",
             .target = "/b",
             .read_only = true,
             .bind_options =
                 BindOptions{.propagation = "rslave", .read_only_force_recursive = true}}),
        bind + "BindOptions.ReadOnlyForceRecursive needs the propagation rprivate");
    const std::string volume = "invalid mount config for type \"volume\": ";
    EXPECT_EQ(
        with({.type = "volume", .target = "/b", .read_only = true}),
        volume + "must not set ReadOnly mode when using anonymous volumes");
    EXPECT_EQ(
        with({.type = "volume", .target = "/b", .volume_options = VolumeOptions{.subpath = "x"}}),
        volume + "must not set Subpath when using anonymous volumes");
    EXPECT_EQ(
        with({.type = "image", .target = "/b"}),
        "invalid mount config for type \"image\": field Source must not be empty");
    EXPECT_EQ(
        with(
            {.type = "tmpfs",
             .target = "/b",
             .tmpfs_options = TmpfsOptions{.options = {{"suid"}}}}),
        "invalid mount config for type \"tmpfs\": invalid option: suid");
}

TEST_F(MountPlan, VolumesOfAnImageAreBelowTheRoot) {
    config_.volumes = {{"relative/./x", {}}};
    EXPECT_EQ(plan().value().at(0).point.destination, "/relative/x");
    config_.volumes = {{"..", {}}};
    EXPECT_EQ(error_of(), "invalid specification: destination can't be '/'");
}

TEST_F(MountPlan, ModesOfInheritedVolumes) {
    host_.volumes_from = {"web:z,ro"};
    EXPECT_EQ(error_of(), "");
    for (const char* mode : {"rslave", "nocopy", "ro,rw", "x"}) {
        host_.volumes_from = {"web:" + std::string(mode)};
        EXPECT_EQ(error_of(), "invalid mode: " + std::string(mode));
    }
}

TEST(TmpfsOptions, LaterOnesTakeOppositesAway) {
    EXPECT_EQ(
        merge_tmpfs_options({"exec", "size=10m", "size=20m"}),
        (std::vector<std::string>{"nosuid", "nodev", "exec", "size=20m"}));
}

} // namespace
} // namespace berth::engine
