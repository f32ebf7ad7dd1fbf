// SPDX-License-Identifier: Apache-2.0
#include "codec/compression.h"
#include "codec/json.h"
#include "oci/manifest.h"
#include "store/archive.h"
#include "store/testing.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace berth::store {
namespace {

using testing::TarBuilder;

class ArchiveTest : public testing::StoreTest {
  protected:
    Result<std::vector<LoadedImage>> load(std::string bytes) {
        return load_images(std::move(bytes));
    }

    std::string save(const std::vector<std::string>& names) { return save_images(names); }

    // The archive as libarchive reads it.
    static std::map<std::string, std::string> entries_of(const std::string& bytes) {
        std::map<std::string, std::string> entries;
        struct archive* reader = archive_read_new();
        archive_read_support_format_tar(reader);
        EXPECT_EQ(archive_read_open_memory(reader, bytes.data(), bytes.size()), ARCHIVE_OK);
        struct archive_entry* entry = nullptr;
        while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
            std::string data(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
            archive_read_data(reader, data.data(), data.size());
            entries[archive_entry_pathname(entry)] = data;
        }
        archive_read_free(reader);
        return entries;
    }

    static std::string compress(const std::string& bytes, compression::Format format) {
        StringSink sink;
        auto compressor = compression::Compressor::create(sink, format).value();
        EXPECT_TRUE(compressor->write(bytes).ok());
        EXPECT_TRUE(compressor->finish().ok());
        return sink.take();
    }

    // What docker save wrote before version 25.
    struct OldArchive {
        std::string tar;
        std::string layer;
        oci::Digest image;
    };

    static OldArchive old_archive(const std::string& tags = R"(["app:1"])") {
        OldArchive old;
        old.layer = TarBuilder().file("z", "1").file("a", "2").finish();
        std::string config = R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers",)"
                             R"("diff_ids":[")" +
                             oci::Digest::of(old.layer).to_string() + R"("]}})";
        old.image = oci::Digest::of(config);
        std::string config_name(old.image.hex());
        TarBuilder tar;
        tar.directory("abc").file("abc/VERSION", "1.0").file("abc/layer.tar", old.layer);
        tar.file(config_name + ".json", config);
        tar.file(
            "manifest.json",
            R"([{"Config":")" + config_name + R"(.json","RepoTags":)" + tags +
                R"(,"Layers":["abc/layer.tar"]}])");
        old.tar = tar.finish();
        return old;
    }

    LoadedImage expect_old_image(std::string bytes, const OldArchive& old) {
        auto loaded = load(std::move(bytes));
        EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message());
        if (!loaded.ok() || loaded->size() != 1) {
            return {};
        }
        EXPECT_EQ((*loaded)[0].id, old.image);
        EXPECT_TRUE(images().get("app:1").ok());
        return (*loaded)[0];
    }
};

TEST_F(ArchiveTest, LoadsADockerArchive) {
    OldArchive old = old_archive();
    LoadedImage image = expect_old_image(old.tar, old);
    ASSERT_EQ(image.names.size(), 1U);
    EXPECT_EQ(image.names[0].familiar(), "app:1");
    StringSink sink;
    ASSERT_TRUE(store_->layers().write_tar(oci::Digest::of(old.layer), sink).ok());
    EXPECT_EQ(sink.bytes(), old.layer);
}

TEST_F(ArchiveTest, LoadsCompressedArchives) {
    OldArchive old = old_archive();
    expect_old_image(compress(old.tar, compression::Format::Gzip), old);
    start_over();
    expect_old_image(compress(old.tar, compression::Format::Zstd), old);
}

TEST_F(ArchiveTest, LoadsAnImageWithoutAName) {
    OldArchive old = old_archive("null");
    auto loaded = load(old.tar).value();
    ASSERT_EQ(loaded.size(), 1U);
    EXPECT_TRUE(loaded[0].names.empty());
    EXPECT_TRUE(images().get(old.image).value().names.empty());
}

TEST_F(ArchiveTest, FollowsLinksBetweenLayers) {
    std::string layer = TarBuilder().file("a", "1").finish();
    std::string diff_id = oci::Digest::of(layer).to_string();
    TarBuilder tar;
    tar.file("one/layer.tar", layer).symlink("two/layer.tar", "../one/layer.tar");
    tar.file(
        "c.json",
        R"({"rootfs":{"type":"layers","diff_ids":[")" + diff_id + "\",\"" + diff_id + R"("]}})");
    tar.file(
        "manifest.json",
        R"([{"Config":"c.json","RepoTags":["x:1"],"Layers":["one/layer.tar","two/layer.tar"]}])");
    auto loaded = load(tar.finish());
    ASSERT_TRUE(loaded.ok()) << loaded.error().message();
    EXPECT_EQ(store_->layers().list().value().size(), 2U);
}

TEST_F(ArchiveTest, SavesWhatItLoads) {
    Image one = add_image("one:1", "first");
    Image two = add_image("two:2", "second");
    ASSERT_TRUE(images().tag(one.id, reference("localhost:5000/one:also")).ok());
    std::string archive = save({"one:1", "localhost:5000/one:also", "two:2"});
    start_over();
    auto loaded = load(archive).value();
    ASSERT_EQ(loaded.size(), 2U);
    EXPECT_EQ(loaded[0].id, one.id);
    EXPECT_EQ(loaded[0].names.size(), 2U);
    EXPECT_EQ(images().get("localhost:5000/one:also").value().id, one.id);
    EXPECT_EQ(images().get("two:2").value().id, two.id);
    EXPECT_EQ(save({"one:1", "localhost:5000/one:also", "two:2"}), archive);
}

TEST_F(ArchiveTest, WritesWhatOthersRead) {
    Image image = add_image("app:1", "x");
    auto entries = entries_of(save({"app:1"}));
    EXPECT_EQ(entries["oci-layout"], R"({"imageLayoutVersion":"1.0.0"})");
    auto manifest = json::parse(entries["manifest.json"]).value();
    const json::Value& saved = manifest.as_array().at(0);
    std::string config_name(json::find_string(saved, "Config"));
    EXPECT_EQ(config_name, "blobs/sha256/" + std::string(image.id.hex()));
    EXPECT_EQ(entries[config_name], image.config_json);
    EXPECT_EQ(json::find(saved, "RepoTags")->as_array().at(0).as_string(), "app:1");
    std::string layer_name(json::find(saved, "Layers")->as_array().at(0).as_string());
    EXPECT_TRUE(entries.contains(layer_name));
    auto index = json::decode_text<oci::Index>(entries["index.json"]).value();
    ASSERT_EQ(index.manifests.size(), 1U);
    EXPECT_EQ(
        index.manifests[0].annotations["io.containerd.image.name"], "docker.io/library/app:1");
    EXPECT_EQ(index.manifests[0].annotations["org.opencontainers.image.ref.name"], "1");
    EXPECT_TRUE(entries.contains("blobs/sha256/" + std::string(index.manifests[0].digest.hex())));
    EXPECT_EQ(index.manifests[0].media_type, "application/vnd.oci.image.manifest.v1+json");
    EXPECT_THAT(entries["repositories"], ::testing::HasSubstr("\"app\":{\"1\":"));
    for (const auto& [name, bytes] : entries) {
        if (name.starts_with("blobs/sha256/") && !name.ends_with("/")) {
            EXPECT_EQ("blobs/sha256/" + std::string(oci::Digest::of(bytes).hex()), name);
        }
    }
}

TEST_F(ArchiveTest, SavesABuiltImageWithoutCompressingIt) {
    LayerInfo layer = add_layer({}, TarBuilder().file("a", "1").finish());
    NewImage image;
    oci::ImageConfig config;
    config.rootfs.diff_ids = {layer.diff_id};
    image.config_json = config.serialize();
    image.names = {reference("built")};
    oci::Digest id = images().create(image).value().id;
    std::string archive = save({"built"});
    EXPECT_TRUE(entries_of(archive).contains("blobs/sha256/" + std::string(layer.diff_id.hex())));
    EXPECT_EQ(store_->blobs().list().value().size(), 1U); // the configuration alone
    start_over();
    EXPECT_EQ(load(archive).value()[0].id, id);
}

TEST_F(ArchiveTest, SavesAllTagsOfARepositoryAndImagesById) {
    Image image = add_image("app:1", "x");
    ASSERT_TRUE(images().tag(image.id, reference("app:2")).ok());
    std::string by_name = save({"app"});
    std::string by_id = save({std::string(image.id.hex())});
    StringSink sink;
    std::vector<std::string> absent{"none"};
    EXPECT_EQ(
        save_archive({}, images(), absent, sink).error().message(), "No such image: none:latest");
    start_over();
    EXPECT_TRUE(load(by_id).value()[0].names.empty());
    EXPECT_EQ(load(by_name).value()[0].names.size(), 2U);
}

TEST_F(ArchiveTest, LoadsAnOciLayoutWithoutManifestJson) {
    Image image = add_image("app:1", "x");
    oci::Digest pushed = images().manifest_for_push(*lease_, image.id).value().descriptor.digest;
    auto entries = entries_of(save({"app:1"}));
    TarBuilder tar;
    for (const auto& [name, bytes] : entries) {
        if (!name.ends_with("/") && name != "manifest.json" && name != "repositories") {
            tar.file(name, bytes);
        }
    }
    std::string layout = tar.finish();
    start_over();
    auto loaded = load(layout).value();
    ASSERT_EQ(loaded.size(), 1U);
    EXPECT_EQ(loaded[0].id, image.id);
    EXPECT_EQ(loaded[0].names[0].familiar(), "app:1");
    // It can be pushed on as it was.
    EXPECT_EQ(images().manifest_for_push(*lease_, image.id).value().descriptor.digest, pushed);
}

TEST_F(ArchiveTest, KeepsTheManifestThatAnImageWasPushedAs) {
    Image image = add_image("app:1", "x");
    PushableManifest pushed = images().manifest_for_push(*lease_, image.id).value();
    std::string archive = save({"app:1"});
    start_over();
    ASSERT_TRUE(load(archive).ok());
    EXPECT_EQ(images().manifest_for_push(*lease_, image.id).value().bytes, pushed.bytes);
}

TEST_F(ArchiveTest, RefusesWhatIsNoImageArchive) {
    auto empty = load(TarBuilder().file("readme", "hello").finish());
    ASSERT_FALSE(empty.ok());
    EXPECT_EQ(empty.error().kind(), ErrorKind::InvalidArgument);
    EXPECT_FALSE(load("this is no tar at all").ok());
    EXPECT_EQ(images().count().value(), 0U);
}

TEST_F(ArchiveTest, RefusesALayerThatIsNotTheOneNamed) {
    OldArchive old = old_archive();
    std::string other = TarBuilder().file("evil", "1").finish();
    auto entries = entries_of(old.tar);
    TarBuilder tar;
    for (const auto& [name, bytes] : entries) {
        if (!name.ends_with("/")) {
            tar.file(name, name == "abc/layer.tar" ? other : bytes);
        }
    }
    auto loaded = load(tar.finish());
    ASSERT_FALSE(loaded.ok());
    EXPECT_THAT(loaded.error().message(), ::testing::HasSubstr("invalid diffID"));
    EXPECT_EQ(images().count().value(), 0U);
}

TEST_F(ArchiveTest, RefusesADamagedBlob) {
    add_image("app:1", "x");
    auto entries = entries_of(save({"app:1"}));
    for (const auto& [damaged, unused] : entries) {
        if (!damaged.starts_with("blobs/sha256/") || damaged.ends_with("/")) {
            continue;
        }
        TarBuilder tar;
        for (const auto& [name, bytes] : entries) {
            if (!name.ends_with("/")) {
                std::string changed = bytes;
                changed.back() = static_cast<char>(changed.back() ^ 1);
                tar.file(name, name == damaged ? changed : bytes);
            }
        }
        std::string archive = tar.finish();
        start_over();
        EXPECT_FALSE(load(archive).ok()) << damaged;
        EXPECT_EQ(images().count().value(), 0U);
    }
}

TEST_F(ArchiveTest, StopsWhenAsked) {
    std::stop_source stop;
    stop.request_stop();
    StringSource source(old_archive().tar);
    auto loaded = load_archive(stop.get_token(), images(), source);
    EXPECT_EQ(loaded.error().kind(), ErrorKind::Cancelled);
}

TEST_F(ArchiveTest, ImportsARootFilesystem) {
    std::string tar = TarBuilder().directory("bin").file("bin/sh", "#!").finish();
    StringSource source(compress(tar, compression::Format::Gzip));
    ImportOptions options;
    options.message = "Imported from -";
    options.config.config.cmd = {"/bin/sh"};
    options.names = {reference("imported")};
    Image image = import_rootfs({}, images(), source, std::move(options)).value();
    EXPECT_EQ(image.config.rootfs.diff_ids[0], oci::Digest::of(tar));
    EXPECT_EQ(image.config.history[0].comment, "Imported from -");
    EXPECT_EQ(image.config.platform.os, "linux");
    EXPECT_EQ(images().get("imported").value().id, image.id);
    EXPECT_TRUE(images().manifest_for_push(*lease_, image.id).ok());
}

TEST_F(ArchiveTest, MakesTheSameImageOfTheSameProgram) {
    oci::Reference name = reference("berth/hello");
    Image first = create_program_image(
                      images(),
                      "\x7f"
                      "ELF",
                      name)
                      .value();
    Image second = create_program_image(
                       images(),
                       "\x7f"
                       "ELF",
                       name)
                       .value();
    EXPECT_EQ(first.id, second.id);
    EXPECT_EQ(first.config.config.cmd, std::vector<std::string>{"/hello"});
    ASSERT_TRUE(store_->layers().prepare("c", first.chain_id).ok());
    std::string path = store_->layers().mount("c").value();
    EXPECT_EQ(
        testing::list_tree(path),
        "f 0755 0:0 hello = \x7f"
        "ELF\n");
    ASSERT_TRUE(store_->layers().remove_writable("c").ok());
}

} // namespace
} // namespace berth::store
