// SPDX-License-Identifier: Apache-2.0
// Manifests and indexes from registries, honest and not.
#include "oci/manifest.h"

#include <gtest/gtest.h>

namespace berth::oci {

namespace {

const std::string digest_a = Digest::of("a").to_string();
const std::string digest_b = Digest::of("b").to_string();

std::string descriptor(const std::string& digest, const std::string& more = "") {
    return R"({"digest":")" + digest + R"(","size":5)" + more + "}";
}

std::string manifest_text(const std::string& type) {
    return R"({"schemaVersion":2,"mediaType":")" + type + R"(","config":)" + descriptor(digest_a) +
           R"(,"layers":[)" + descriptor(digest_b) + "]}";
}

std::string manifest_error(const std::string& text, std::string_view type = {}) {
    auto document = parse_manifest(text, type);
    return document.ok() ? "" : document.error().message();
}

std::string entry(const std::string& digest, const std::string& arch, const std::string& variant) {
    return descriptor(
        digest,
        R"(,"platform":{"os":"linux","architecture":")" + arch + R"(","variant":")" + variant +
            "\"}");
}

} // namespace

TEST(Manifest, ReadsBothFamilies) {
    for (const auto type : {media_type::oci_manifest, media_type::docker_manifest}) {
        auto document = parse_manifest(manifest_text(std::string(type)), type);
        ASSERT_TRUE(document.ok()) << document.error().message();
        const auto* manifest = std::get_if<Manifest>(&*document);
        ASSERT_NE(manifest, nullptr);
        EXPECT_EQ(manifest->config.digest.to_string(), digest_a);
        EXPECT_EQ(manifest->layers.at(0).size, 5);
    }
}

TEST(Manifest, ReadsADocumentWithoutMediaTypeByItsMembers) {
    EXPECT_EQ(manifest_error(R"({"config":)" + descriptor(digest_a) + R"(,"layers":[]})"), "");
    auto index = parse_manifest(R"({"manifests":[]})");
    ASSERT_TRUE(index.ok());
    EXPECT_TRUE(std::holds_alternative<Index>(*index));
}

TEST(Manifest, RejectsAmbiguousDocuments) {
    const std::string both = R"({"config":)" + descriptor(digest_a) + R"(,"manifests":[]})";
    EXPECT_EQ(manifest_error(both), "the document is both a manifest and an index");
    EXPECT_EQ(
        manifest_error(both, media_type::oci_index),
        "the document is both a manifest and an index");
    EXPECT_NE(manifest_error(R"({"manifests":[]})", media_type::oci_manifest), "");
    EXPECT_NE(
        manifest_error(
            manifest_text(std::string(media_type::oci_manifest)), media_type::docker_manifest),
        "");
    EXPECT_EQ(manifest_error("{}"), "the document is neither a manifest nor an index");
}

TEST(Manifest, RejectsSchemaOneAndMissingDigests) {
    EXPECT_EQ(manifest_error(R"({"schemaVersion":1})"), "unsupported manifest schema version 1");
    EXPECT_EQ(manifest_error(R"({"layers":[]})"), "the manifest's config has no digest");
    EXPECT_EQ(
        manifest_error(R"({"config":)" + descriptor(digest_a) + R"(,"layers":[{}]})"),
        "the manifest's layer has no digest");
    EXPECT_NE(manifest_error(R"({"config":{"digest":"sha256:../../etc"}})"), "");
}

TEST(Manifest, WritesWhatItReads) {
    const std::string text = Manifest{
        .media_type = std::string(media_type::oci_manifest),
        .config = {.digest = Digest::of("a"), .size = 1},
        .layers = {
            {.digest = Digest::of("b"),
             .size = 2}}}.serialize();
    auto document = parse_manifest(text);
    ASSERT_TRUE(document.ok()) << text;
    EXPECT_EQ(std::get<Manifest>(*document).serialize(), text);
}

TEST(Index, ChoosesByPlatform) {
    auto document = parse_manifest(
        R"({"manifests":[)" + entry(digest_a, "arm64", "v8") + "," + entry(digest_b, "amd64", "") +
        "]}");
    ASSERT_TRUE(document.ok()) << document.error().message();
    const auto& index = std::get<Index>(*document);
    EXPECT_EQ(index.choose(*Platform::parse("linux/amd64"))->digest.to_string(), digest_b);
    EXPECT_EQ(index.choose(*Platform::parse("linux/arm64"))->digest.to_string(), digest_a);
    auto missing = index.choose(*Platform::parse("linux/s390x"));
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().kind(), ErrorKind::NotFound);
    EXPECT_EQ(
        missing.error().message(),
        "no matching manifest for linux/s390x in the manifest list entries");
}

} // namespace berth::oci
