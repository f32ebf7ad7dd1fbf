// SPDX-License-Identifier: Apache-2.0
#include "base/disk_size.h"
#include "codec/compression.h"
#include "store/image_store.h"
#include "store/testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::store {
namespace {

using testing::TarBuilder;

class ImageStoreTest : public testing::StoreTest {
  protected:
    std::string error_of(std::string_view name) {
        auto image = images().get(name);
        return image.ok() ? "found" : image.error().message();
    }

    static std::vector<std::string> texts(const std::vector<oci::Reference>& references) {
        std::vector<std::string> list;
        for (const oci::Reference& name : references) {
            list.push_back(name.familiar());
        }
        return list;
    }
};

TEST_F(ImageStoreTest, FindsAnImageByItsNamesAndIds) {
    Image image = add_image("team/app:1.0", "x");
    std::string hex(image.id.hex());
    for (const std::string& name :
         {std::string("team/app:1.0"),
          std::string("docker.io/team/app:1.0"),
          hex,
          "sha256:" + hex,
          hex.substr(0, 12),
          "sha256:" + hex.substr(0, 7)}) {
        EXPECT_EQ(images().get(name).value().id, image.id) << name;
    }
    EXPECT_THAT(texts(image.names), ::testing::ElementsAre("team/app:1.0"));
    EXPECT_EQ(image.size, 1U);
    EXPECT_FALSE(image.tagged.is_zero());
}

TEST_F(ImageStoreTest, SaysInDockersWordsThatThereIsNone) {
    std::string hex(64, 'a');
    EXPECT_EQ(error_of("ubuntu"), "No such image: ubuntu:latest");
    EXPECT_EQ(error_of("ubuntu:24.04"), "No such image: ubuntu:24.04");
    EXPECT_EQ(error_of("localhost:5000/x"), "No such image: localhost:5000/x:latest");
    EXPECT_EQ(error_of(hex), "No such image: sha256:" + hex);
    EXPECT_EQ(error_of("sha256:" + hex), "No such image: sha256:" + hex);
    EXPECT_EQ(error_of("abc123"), "No such image: abc123:latest");
    EXPECT_EQ(error_of("x@sha256:" + hex), "No such image: x@sha256:" + hex);
    EXPECT_EQ(images().get("UPPER").error().kind(), ErrorKind::InvalidArgument);
    EXPECT_EQ(images().get("ubuntu").error().kind(), ErrorKind::NotFound);
}

TEST_F(ImageStoreTest, RefusesAnAmbiguousPrefix) {
    std::map<char, int> first_digits;
    for (int i = 0; i < 17; ++i) { // two of them must begin alike
        ++first_digits[add_image("", "image" + std::to_string(i)).id.hex()[0]];
    }
    for (const auto& [digit, count] : first_digits) {
        auto image = images().get(std::string(1, digit));
        EXPECT_EQ(image.ok(), count == 1);
        if (count > 1) {
            EXPECT_THAT(image.error().message(), ::testing::StartsWith("ambiguous reference"));
        }
    }
}

TEST_F(ImageStoreTest, PrefersANameOverAnId) {
    Image first = add_image("", "x");
    std::string prefix(first.id.hex().substr(0, 6));
    Image second = add_image(prefix, "y");
    EXPECT_EQ(images().get(prefix).value().id, second.id);
}

TEST_F(ImageStoreTest, MovesANameToTheNewestImage) {
    Image old = add_image("app", "x");
    Image current = add_image("app", "y");
    EXPECT_EQ(images().get("app:latest").value().id, current.id);
    EXPECT_TRUE(images().get(old.id).value().names.empty());
    ASSERT_TRUE(images().tag(old.id, reference("app:old")).ok());
    ASSERT_TRUE(images().tag(old.id, reference("app")).ok());
    EXPECT_THAT(
        texts(images().get(old.id).value().names), ::testing::ElementsAre("app:latest", "app:old"));
    EXPECT_TRUE(images().get(current.id).value().names.empty());
}

TEST_F(ImageStoreTest, UntagsAndRemoves) {
    Image image = add_image("app", "x");
    ASSERT_TRUE(images().untag(reference("app")).ok());
    EXPECT_EQ(images().untag(reference("app")).error().message(), "No such image: app:latest");
    EXPECT_TRUE(images().get(image.id).ok());
    ASSERT_TRUE(images().remove(image.id).ok());
    EXPECT_EQ(images().remove(image.id).error().kind(), ErrorKind::NotFound);
    EXPECT_EQ(images().count().value(), 0U);
}

TEST_F(ImageStoreTest, KnowsWhatAnImageWasPulledAs) {
    Image image = add_image("app", "x");
    oci::Reference name = reference("app@sha256:" + std::string(64, 'd'));
    ASSERT_TRUE(images().add_repo_digest(image.id, name).ok());
    ASSERT_TRUE(images().add_repo_digest(image.id, name).ok());
    EXPECT_EQ(images().get(name.familiar()).value().id, image.id);
    EXPECT_THAT(
        texts(images().get(image.id).value().repo_digests),
        ::testing::ElementsAre(name.familiar()));
    ASSERT_TRUE(images().untag(name).ok());
    EXPECT_FALSE(images().get(name.familiar()).ok());
}

TEST_F(ImageStoreTest, RefusesADigestAsATag) {
    Image image = add_image("app", "x");
    auto tagged = images().tag(image.id, reference("app@sha256:" + std::string(64, 'd')));
    EXPECT_EQ(tagged.error().kind(), ErrorKind::InvalidArgument);
}

TEST_F(ImageStoreTest, RefusesAnImageWhoseLayersAreNotThere) {
    oci::ImageConfig config;
    config.rootfs.diff_ids = {oci::Digest::of("absent")};
    NewImage image;
    image.config_json = config.serialize();
    EXPECT_EQ(images().create(image).error().kind(), ErrorKind::NotFound);
    EXPECT_EQ(images().count().value(), 0U);
}

TEST_F(ImageStoreTest, KeepsTheBytesOfAForeignConfiguration) {
    LayerInfo layer = add_layer({}, TarBuilder().file("a", "b").finish());
    NewImage image;
    image.config_json = R"({ "unknown": [1,2], "architecture":"amd64","os":"linux","config":{},
        "rootfs":{"type":"layers","diff_ids":[")" +
                        layer.diff_id.to_string() + R"("]}})";
    Image stored = images().create(image).value();
    EXPECT_EQ(stored.id, oci::Digest::of(image.config_json));
    EXPECT_EQ(images().get(stored.id).value().config_json, image.config_json);
    EXPECT_EQ(store_->blobs().read(stored.id).value(), image.config_json);
}

TEST_F(ImageStoreTest, ListsTheNewestFirstWithNames) {
    add_image("old", "1");
    add_image("new", "22");
    std::vector<Image> list = images().list().value();
    ASSERT_EQ(list.size(), 2U);
    EXPECT_THAT(texts(list[0].names), ::testing::ElementsAre("new:latest"));
    EXPECT_THAT(texts(list[1].names), ::testing::ElementsAre("old:latest"));
}

TEST_F(ImageStoreTest, KnowsItsChildren) {
    Image parent = add_image("parent", "1");
    NewImage child;
    oci::ImageConfig config = parent.config;
    config.author = "child";
    child.config_json = config.serialize();
    child.parent = parent.id;
    Image stored = images().create(child).value();
    EXPECT_EQ(stored.parent, parent.id);
    EXPECT_THAT(images().children(parent.id).value(), ::testing::ElementsAre(stored.id));
}

// Of one layer, with a manifest that says the blob is that layer.
NewImage pulled_image(const LayerInfo& layer, const BlobInfo& blob, std::string_view layer_type) {
    NewImage image;
    oci::ImageConfig config;
    config.rootfs.diff_ids = {layer.diff_id};
    image.config_json = config.serialize();
    oci::Manifest manifest;
    manifest.media_type = oci::media_type::oci_manifest;
    manifest.config.media_type = oci::media_type::oci_config;
    manifest.config.digest = oci::Digest::of(image.config_json);
    manifest.config.size = static_cast<std::int64_t>(image.config_json.size());
    oci::Descriptor descriptor;
    descriptor.media_type = layer_type;
    descriptor.digest = blob.digest;
    descriptor.size = static_cast<std::int64_t>(blob.size);
    manifest.layers = {descriptor};
    image.manifest = manifest.serialize();
    image.manifest_type = oci::media_type::oci_manifest;
    return image;
}

TEST_F(ImageStoreTest, PushesAPulledImageBackBitForBit) {
    std::string tar = TarBuilder().file("z", "1").file("a", "2").finish();
    StringSink compressed;
    auto compressor =
        compression::Compressor::create(compressed, compression::Format::Zstd).value();
    ASSERT_TRUE(compressor->write(tar).ok());
    ASSERT_TRUE(compressor->finish().ok());
    BlobInfo blob = store_->blobs().put(*lease_, compressed.bytes()).value();
    LayerInfo layer = add_layer({}, tar);
    NewImage image = pulled_image(layer, blob, oci::media_type::oci_layer_zstd);
    image.manifest = " " + image.manifest; // not as we would write it
    Image stored = images().create(image).value();

    PushableManifest pushable = images().manifest_for_push(*lease_, stored.id).value();
    EXPECT_EQ(pushable.bytes, image.manifest);
    EXPECT_EQ(pushable.descriptor.digest, oci::Digest::of(image.manifest));
    EXPECT_EQ(pushable.manifest.layers[0].digest, blob.digest);

    // Without its blob the image is pushed with another one.
    ASSERT_TRUE(store_->blobs().remove(blob.digest).ok());
    Result<PushableManifest> other = images().manifest_for_push(*lease_, stored.id);
    EXPECT_TRUE(!other.ok() || other->manifest.layers[0].digest != blob.digest);
}

// Whoever writes a manifest could name any blob for a layer that others share.
TEST_F(ImageStoreTest, TakesNoManifestsWordForWhatIsALayersBlob) {
    LayerInfo layer = add_layer({}, TarBuilder().file("a", "1").finish());
    BlobInfo other = store_->blobs().put(*lease_, "something else").value();
    const NewImage image = pulled_image(layer, other, oci::media_type::oci_layer_gzip);
    ASSERT_TRUE(images().create(image).ok());
    EXPECT_NE(store_->layers().ensure_blob(*lease_, layer.chain_id).value().digest, other.digest);
    StringSink tar;
    EXPECT_TRUE(store_->layers().write_tar(layer.chain_id, tar).ok());
}

TEST_F(ImageStoreTest, MakesAManifestForABuiltImage) {
    LayerInfo layer = add_layer({}, TarBuilder().file("a", "1").finish());
    NewImage image;
    oci::ImageConfig config;
    config.rootfs.diff_ids = {layer.diff_id};
    image.config_json = config.serialize();
    Image stored = images().create(image).value();
    PushableManifest first = images().manifest_for_push(*lease_, stored.id).value();
    ASSERT_EQ(first.manifest.layers.size(), 1U);
    EXPECT_EQ(first.manifest.config.digest, stored.id);
    EXPECT_EQ(first.manifest.media_type, oci::media_type::docker_manifest);
    EXPECT_TRUE(store_->blobs().contains(first.manifest.layers[0].digest));
    EXPECT_TRUE(store_->blobs().contains(first.descriptor.digest));
    EXPECT_EQ(images().manifest_for_push(*lease_, stored.id).value().bytes, first.bytes);
}

TEST_F(ImageStoreTest, SurvivesAReopen) {
    Image image = add_image("app", "x");
    open();
    EXPECT_EQ(images().get("app").value().id, image.id);
}

TEST_F(ImageStoreTest, CountsSharedLayersOnce) {
    open(SnapshotterKind::Overlay, LayerForm::Directory);
    LayerInfo base = add_layer({}, TarBuilder().file("a", std::string(100, 'x')).finish());
    LayerInfo top = add_layer(base.chain_id, TarBuilder().file("b", std::string(10, 'y')).finish());
    for (const auto& diff_ids :
         {std::vector{base.diff_id}, std::vector{base.diff_id, top.diff_id}}) {
        NewImage image;
        oci::ImageConfig config;
        config.rootfs.diff_ids = diff_ids;
        image.config_json = config.serialize();
        ASSERT_TRUE(images().create(image).ok());
    }
    const auto on_disk = [&](const LayerInfo& layer) {
        return disk_size(
            root() + "/layers/" + std::string(layer.chain_id.hex()) + "/diff",
            CountDirectories::Yes);
    };
    ASSERT_GE(on_disk(base), 100U);
    const DiskUsage usage = images().disk_usage().value();
    EXPECT_EQ(usage.layers_size, on_disk(base) + on_disk(top));
    std::vector<std::uint64_t> unique;
    for (const ImageUsage& image : usage.images) {
        const std::uint64_t config = store_->blobs().size(image.id).value();
        EXPECT_EQ(image.shared_size, on_disk(base));
        unique.push_back(image.size - image.shared_size - config);
    }
    EXPECT_THAT(unique, ::testing::UnorderedElementsAre(0U, on_disk(top)));
}

} // namespace
} // namespace berth::store
