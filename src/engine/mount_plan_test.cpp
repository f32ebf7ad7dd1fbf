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
    EXPECT_EQ(error_of(), "invalid mount path: 'b' mount path must be absolute");
    host_.binds = {"/a:/b:rw,ro"};
    EXPECT_EQ(error_of(), "invalid mode: rw,ro");
    host_.binds = {"/a:/b", "/c:/b"};
    EXPECT_EQ(error_of(), "Duplicate mount point: /b");
    host_.binds = {"/a:/"};
    EXPECT_NE(error_of().find("destination can't be '/'"), std::string::npos);
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
    EXPECT_FALSE(mounts[0].anonymous);
}

TEST(TmpfsOptions, LaterOnesTakeOppositesAway) {
    EXPECT_EQ(
        merge_tmpfs_options({"exec", "size=10m", "size=20m"}),
        (std::vector<std::string>{"nosuid", "nodev", "exec", "size=20m"}));
}

} // namespace
} // namespace berth::engine
