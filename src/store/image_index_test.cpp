// SPDX-License-Identifier: Apache-2.0
#include "codec/compression.h"
#include "oci/manifest.h"
#include "store/archive.h"
#include "store/testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace berth::store {
namespace {

using testing::TarBuilder;

// An OCI layout with one image for several platforms, each of one gzip layer, and an attestation.
class ImageIndexTest : public testing::StoreTest {
  protected:
    oci::Descriptor add_blob(std::string_view media_type, const std::string& bytes) {
        oci::Descriptor descriptor;
        descriptor.media_type = media_type;
        descriptor.digest = oci::digest_of(algorithm_, bytes);
        descriptor.size = static_cast<std::int64_t>(bytes.size());
        blobs_["blobs/" + algorithm_ + "/" + std::string(descriptor.digest.hex())] = bytes;
        return descriptor;
    }

    oci::Descriptor add_platform(const std::string& architecture) {
        const std::string tar = TarBuilder().file("arch", architecture).finish();
        StringSink packed;
        auto compressor =
            compression::Compressor::create(packed, compression::Format::Gzip).value();
        EXPECT_TRUE(compressor->write(tar).ok());
        EXPECT_TRUE(compressor->finish().ok());
        oci::Manifest manifest;
        manifest.media_type = oci::media_type::oci_manifest;
        manifest.layers.push_back(add_blob(oci::media_type::oci_layer_gzip, packed.take()));
        const std::string config = R"({"os":"linux","architecture":")" + architecture +
                                   R"(","rootfs":{"type":"layers","diff_ids":[")" +
                                   oci::Digest::of(tar).to_string() + "\"]}}";
        manifest.config = add_blob(oci::media_type::oci_config, config);
        ids_[architecture] = oci::Digest::of(config);
        oci::Descriptor entry = add_blob(manifest.media_type, manifest.serialize());
        entry.platform = oci::Platform{};
        entry.platform->os = "linux";
        entry.platform->architecture = architecture;
        return entry;
    }

    oci::Descriptor add_attestation(const oci::Digest& subject) {
        oci::Manifest manifest;
        manifest.media_type = oci::media_type::oci_manifest;
        manifest.config = add_blob(oci::media_type::oci_config, R"({"os":"unknown"})");
        manifest.layers.push_back(add_blob("application/vnd.in-toto+json", R"({"_type":"x"})"));
        oci::Descriptor entry = add_blob(manifest.media_type, manifest.serialize());
        entry.annotations = {
            {"vnd.docker.reference.type", "attestation-manifest"},
            {"vnd.docker.reference.digest", subject.to_string()}};
        entry.platform = oci::Platform{};
        entry.platform->os = "unknown";
        entry.platform->architecture = "unknown";
        return entry;
    }

    std::string layout(const std::vector<std::string>& architectures) {
        oci::Index index;
        index.media_type = oci::media_type::oci_index;
        for (const std::string& architecture : architectures) {
            index.manifests.push_back(add_platform(architecture));
        }
        index.manifests.push_back(add_attestation(index.manifests[0].digest));
        return layout_of(index);
    }

    std::string layout_of(const oci::Index& index) {
        oci::Index top;
        top.manifests.push_back(add_blob(oci::media_type::oci_index, index.serialize()));
        index_ = top.manifests[0].digest;
        top.manifests[0].annotations["io.containerd.image.name"] = "docker.io/library/app:1";
        blobs_["index.json"] = top.serialize();
        blobs_["oci-layout"] = R"({"imageLayoutVersion":"1.0.0"})";
        TarBuilder tar;
        for (const auto& [name, bytes] : blobs_) {
            tar.file(name, bytes);
        }
        return tar.finish();
    }

    Result<std::vector<LoadedImage>>
    load(std::string archive, const std::vector<std::string>& platforms = {}) {
        LoadOptions options;
        for (const std::string& platform : platforms) {
            options.platforms.push_back(oci::Platform::parse(platform).value());
        }
        return load_images(std::move(archive), options);
    }

    std::string save(const std::string& name, const std::vector<std::string>& platforms = {}) {
        SaveOptions options;
        for (const std::string& platform : platforms) {
            options.platforms.push_back(oci::Platform::parse(platform).value());
        }
        return save_images({name}, options);
    }

    std::vector<std::string> architectures(const std::string& name) {
        std::vector<std::string> found;
        const std::vector<Image> there = images().platforms(name).value();
        for (const Image& image : there) {
            found.push_back(image.config.platform.architecture);
        }
        return found;
    }

    std::optional<ImageIndex> index_of(const std::string& name) {
        Lease lease = images().lease();
        return images().index(lease, name).value();
    }

    std::string host_ = oci::Platform::host().architecture;
    std::string algorithm_ = "sha256";
    std::map<std::string, std::string> blobs_;
    std::map<std::string, oci::Digest> ids_;
    oci::Digest index_;
};

TEST_F(ImageIndexTest, LoadsEveryPlatformUnderOneName) {
    ASSERT_TRUE(load(layout({"s390x", host_, "riscv64"})).ok());
    EXPECT_THAT(architectures("app:1"), ::testing::UnorderedElementsAre("s390x", host_, "riscv64"));
    EXPECT_EQ(images().get("app:1").value().id, ids_[host_]);
    const Image other = images().get(ids_["riscv64"]).value();
    EXPECT_TRUE(other.names.empty());
    EXPECT_EQ(other.platform_names.front().familiar(), "app:1");
    const auto index = index_of("app:1");
    ASSERT_TRUE(index.has_value());
    EXPECT_TRUE(index->complete);
    EXPECT_EQ(index->documents.front().descriptor.digest, index_);
    EXPECT_EQ(index->entries.size(), 4U);
}

TEST_F(ImageIndexTest, LoadsTheChosenPlatformOfSeveral) {
    const std::string archive = layout({"s390x", "riscv64"});
    ASSERT_TRUE(load(archive, {"linux/riscv64"}).ok());
    EXPECT_THAT(architectures("app:1"), ::testing::ElementsAre("riscv64"));
    EXPECT_FALSE(index_of("app:1")->complete);
    EXPECT_THAT(
        load(archive, {"linux/mips64le"}).error().message(),
        ::testing::HasSubstr("no matching manifest for linux/mips64le"));
    // The others come later, and join.
    ASSERT_TRUE(load(archive, {"linux/s390x"}).ok());
    EXPECT_THAT(architectures("app:1"), ::testing::UnorderedElementsAre("s390x", "riscv64"));
    EXPECT_TRUE(index_of("app:1")->complete);
}

TEST_F(ImageIndexTest, SavesAndLoadsTheIndexBitForBit) {
    ASSERT_TRUE(load(layout({"s390x", host_})).ok());
    const std::string archive = save("app:1");
    start_over();
    const auto loaded = load(archive).value();
    EXPECT_EQ(loaded.size(), 2U);
    EXPECT_THAT(architectures("app:1"), ::testing::UnorderedElementsAre(host_, "s390x"));
    const auto index = index_of("app:1");
    EXPECT_TRUE(index && index->complete && index->documents.front().descriptor.digest == index_);
}

TEST_F(ImageIndexTest, SavesTheChosenPlatformAlone) {
    ASSERT_TRUE(load(layout({"s390x", host_})).ok());
    const std::string archive = save("app:1", {"linux/s390x"});
    start_over();
    ASSERT_TRUE(load(archive).ok());
    EXPECT_THAT(architectures("app:1"), ::testing::ElementsAre("s390x"));
    EXPECT_FALSE(index_of("app:1").has_value());
}

TEST_F(ImageIndexTest, KeepsItAllThroughACollection) {
    ASSERT_TRUE(load(layout({"s390x", host_})).ok());
    ASSERT_TRUE(store_->garbage_collector().collect().ok());
    EXPECT_TRUE(index_of("app:1")->complete);
    ASSERT_TRUE(images().untag(reference("app:1")).ok());
    for (const char* architecture : {"s390x", host_.c_str()}) {
        ASSERT_TRUE(images().remove(ids_[architecture]).ok());
    }
    ASSERT_TRUE(store_->garbage_collector().collect().ok());
    EXPECT_TRUE(store_->blobs().list().value().empty());
}

TEST_F(ImageIndexTest, ANameStaysWithThePlatformsThatAreLeft) {
    ASSERT_TRUE(load(layout({"s390x", host_})).ok());
    ASSERT_TRUE(images().remove(ids_[host_]).ok());
    EXPECT_EQ(images().get("app:1").value().id, ids_["s390x"]);
    ASSERT_TRUE(images().untag_platform(reference("app:1"), ids_["s390x"]).ok());
    EXPECT_FALSE(images().get("app:1").ok());
    EXPECT_TRUE(images().get(ids_["s390x"]).ok());
}

TEST_F(ImageIndexTest, ATagTakesTheIndexAlong) {
    ASSERT_TRUE(load(layout({"s390x", host_})).ok());
    ASSERT_TRUE(images().tag("app:1", reference("copy:2")).ok());
    EXPECT_THAT(architectures("copy:2"), ::testing::UnorderedElementsAre(host_, "s390x"));
    EXPECT_TRUE(index_of("copy:2")->complete);
    // By its id it is one image.
    ASSERT_TRUE(images().tag(ids_["s390x"].to_string(), reference("copy:2")).ok());
    EXPECT_THAT(architectures("copy:2"), ::testing::ElementsAre("s390x"));
    EXPECT_FALSE(index_of("copy:2").has_value());
}

TEST_F(ImageIndexTest, KeepsWhatIsNamedBySha512) {
    algorithm_ = "sha512";
    ASSERT_TRUE(load(layout({"s390x", host_})).ok());
    ASSERT_TRUE(store_->garbage_collector().collect().ok());
    const auto index = index_of("app:1");
    ASSERT_TRUE(index.has_value());
    EXPECT_TRUE(index->complete);
    EXPECT_EQ(index->entries[0].image, ids_["s390x"]);
    const std::string archive = save("app:1");
    start_over();
    ASSERT_TRUE(load(archive).ok());
    const auto again = index_of("app:1");
    EXPECT_TRUE(again && again->complete && again->documents.front().descriptor.digest == index_);
}

TEST_F(ImageIndexTest, AnAttestationWithoutItsConfigurationIsNotWhole) {
    const std::string archive = layout({host_});
    const oci::Digest config = oci::Digest::of(R"({"os":"unknown"})");
    ASSERT_TRUE(load(archive).ok());
    ASSERT_TRUE(index_of("app:1")->complete);
    ASSERT_TRUE(store_->blobs().remove(config).ok());
    EXPECT_FALSE(index_of("app:1")->complete);
}

// 200 to the power of 4 ways lead to its image.
TEST_F(ImageIndexTest, WalksIndexesThatNameOneAnotherOften) {
    oci::Descriptor named = add_platform(host_);
    oci::Index index;
    index.media_type = oci::media_type::oci_index;
    for (int level = 0; level < 4; ++level) {
        index.manifests.assign(200, named);
        named = add_blob(index.media_type, index.serialize());
    }
    ASSERT_TRUE(load(layout_of(index)).ok());
    const auto found = index_of("app:1");
    ASSERT_TRUE(found.has_value());
    EXPECT_TRUE(found->complete);
    EXPECT_EQ(found->documents.size(), 4U);
    EXPECT_EQ(found->entries.size(), 1U);
    ASSERT_TRUE(store_->garbage_collector().collect().ok());
    EXPECT_TRUE(index_of("app:1")->complete);
}

TEST_F(ImageIndexTest, SaysWhatIsMissing) {
    ASSERT_TRUE(load(layout({"s390x", host_})).ok());
    ASSERT_TRUE(images().untag_platform(reference("app:1"), ids_["s390x"]).ok());
    const auto index = index_of("app:1");
    EXPECT_FALSE(index->complete);
    for (const IndexEntry& entry : index->entries) {
        const bool is_s390x = entry.descriptor.platform->architecture == "s390x";
        EXPECT_EQ(entry.complete, !is_s390x);
    }
}

} // namespace
} // namespace berth::store
