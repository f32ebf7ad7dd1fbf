// SPDX-License-Identifier: Apache-2.0
// Images in the shapes of the different versions.
#include "api/wire/image.h"

#include <gtest/gtest.h>

namespace berth::api::wire {

TEST(ImageWire, NamesADanglingImageForOldClients) {
    const engine::ImageSummary image{.id = "sha256:1", .size = 7};
    const json::Value old = encode_image_summary(image, {1, 42});
    EXPECT_EQ(json::serialize(old.at("RepoTags")), R"(["<none>:<none>"])");
    EXPECT_EQ(old.at("VirtualSize").as_int64(), 7);
    const json::Value now = encode_image_summary(image, maximum_version);
    EXPECT_EQ(json::serialize(now.at("RepoTags")), "[]");
    EXPECT_TRUE(now.at("Labels").is_null());
    EXPECT_EQ(now.as_object().find("VirtualSize"), now.as_object().end());
}

TEST(ImageWire, WritesAContainersConfigurationBefore150) {
    engine::ImageInspect image;
    image.config = *json::parse(R"({"Env":["A=b"],"Cmd":["sh"],"Hostname":"old"})");
    EXPECT_EQ(
        json::serialize(encode_image_inspect(image, {1, 51}).at("Config")),
        R"({"Env":["A=b"],"Cmd":["sh"],"Entrypoint":null,"Labels":null,"OnBuild":null,)"
        R"("Volumes":null,"User":"","WorkingDir":""})");
    const json::Value old = encode_image_inspect(image, {1, 49});
    EXPECT_EQ(old.at("Config").at("Hostname").as_string(), "old");
    EXPECT_FALSE(old.at("Config").at("Tty").as_bool());
    EXPECT_EQ(
        json::serialize(encode_image_inspect(image, {1, 52}).at("Config")),
        R"({"Env":["A=b"],"Cmd":["sh"]})");
}

TEST(ImageWire, LeavesOutWhatIsEmptySince152) {
    engine::ImageInspect image;
    image.author = "somebody";
    const json::Value now = encode_image_inspect(image, {1, 52});
    for (const char* name : {"Parent", "Comment", "DockerVersion", "ContainerConfig"}) {
        EXPECT_FALSE(now.as_object().contains(name)) << name;
    }
    EXPECT_EQ(now.at("Author").as_string(), "somebody");
    const json::Value old = encode_image_inspect(image, {1, 43});
    EXPECT_EQ(old.at("Parent").as_string(), "");
    EXPECT_EQ(old.at("Created").as_string(), "0001-01-01T00:00:00Z");
    EXPECT_EQ(old.at("ContainerConfig").at("Hostname").as_string(), "");
}

TEST(ImageWire, CountsContainersSince151) {
    engine::ImageSummary image;
    image.containers = 2;
    EXPECT_EQ(encode_image_summary(image, {1, 51}).at("Containers").as_int64(), 2);
    EXPECT_EQ(encode_image_summary(image, {1, 50}).at("Containers").as_int64(), -1);
}

} // namespace berth::api::wire
