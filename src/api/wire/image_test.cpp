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
    const json::Value now = encode_image_inspect(image, maximum_version);
    EXPECT_EQ(
        json::serialize(now.at("Config")),
        R"({"Env":["A=b"],"Cmd":["sh"],"Entrypoint":null,"Labels":null,"OnBuild":null,)"
        R"("Volumes":null,"User":"","WorkingDir":""})");
    const json::Value old = encode_image_inspect(image, {1, 49});
    EXPECT_EQ(old.at("Config").at("Hostname").as_string(), "old");
    EXPECT_FALSE(old.at("Config").at("Tty").as_bool());
}

} // namespace berth::api::wire
