// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "store/garbage_collector.h"
#include "store/testing.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::store {
namespace {

class GarbageCollectorTest : public testing::StoreTest {
  protected:
    CollectionReport collect() {
        auto report = store_->garbage_collector().collect();
        EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message());
        return report.ok() ? *report : CollectionReport{};
    }

    void end_lease() { lease_ = std::make_unique<Lease>(store_->leases().create()); }
};

TEST_F(GarbageCollectorTest, KeepsEverythingOfAnImage) {
    Image image = add_image("app", "x");
    ASSERT_TRUE(store_->images().manifest_for_push(*lease_, image.id).ok());
    end_lease();
    CollectionReport report = collect();
    EXPECT_EQ(report.blobs_removed, 0U);
    EXPECT_EQ(report.layers_removed, 0U);
    EXPECT_EQ(store_->blobs().list().value().size(), 3U); // configuration, manifest, layer
}

TEST_F(GarbageCollectorTest, TakesAllOfARemovedImage) {
    open(SnapshotterKind::Overlay, LayerForm::Directory);
    Image image = add_image("app", "xyz");
    ASSERT_TRUE(store_->layers().ensure_blob(*lease_, image.chain_id).ok());
    end_lease();
    ASSERT_TRUE(store_->images().remove(image.id).ok());
    CollectionReport report = collect();
    EXPECT_EQ(report.layers_removed, 1U);
    EXPECT_EQ(report.blobs_removed, 2U);
    EXPECT_GT(report.bytes_reclaimed, 3U);
    EXPECT_TRUE(store_->blobs().list().value().empty());
    EXPECT_TRUE(store_->layers().list().value().empty());
    EXPECT_TRUE(store_->layers().blobs(image.config.rootfs.diff_ids[0]).value().empty());
    store_->layers().wait_for_deletions();
    EXPECT_TRUE(list_directory(root() + "/layers").value().empty());
}

TEST_F(GarbageCollectorTest, TakesWholeChainsFromTheTop) {
    oci::Digest chain_id;
    for (int i = 0; i < 5; ++i) {
        chain_id = add_layer(chain_id, simple_tar(std::to_string(i))).chain_id;
    }
    end_lease();
    EXPECT_EQ(collect().layers_removed, 5U);
}

TEST_F(GarbageCollectorTest, SparesLeasedContentAndItsParents) {
    LayerInfo base = add_layer({}, simple_tar("1"));
    LayerInfo top = add_layer(base.chain_id, simple_tar("2"));
    BlobInfo blob = store_->blobs().put(*lease_, "blob").value();
    end_lease();
    lease_->add_layer(top.chain_id);
    lease_->add_blob(blob.digest);
    collect();
    EXPECT_TRUE(store_->layers().contains(base.chain_id));
    EXPECT_TRUE(store_->blobs().contains(blob.digest));
    end_lease();
    collect();
    EXPECT_FALSE(store_->layers().contains(base.chain_id));
    EXPECT_FALSE(store_->blobs().contains(blob.digest));
}

TEST_F(GarbageCollectorTest, SparesTheLayersOfContainers) {
    LayerInfo base = add_layer({}, simple_tar("1"));
    ASSERT_TRUE(store_->layers().prepare("container", base.chain_id).ok());
    end_lease();
    EXPECT_EQ(collect().layers_removed, 0U);
    ASSERT_TRUE(store_->layers().remove_writable("container").ok());
    EXPECT_EQ(collect().layers_removed, 1U);
}

TEST_F(GarbageCollectorTest, AsksTheOtherRoots) {
    LayerInfo cached = add_layer({}, simple_tar("1"));
    end_lease();
    bool answers = false;
    store_->garbage_collector().add_roots([&]() -> Result<std::vector<ContentKey>> {
        if (!answers) {
            return internal_error("cannot tell");
        }
        return std::vector<ContentKey>{{ContentKind::Layer, cached.chain_id}};
    });
    EXPECT_FALSE(store_->garbage_collector().collect().ok());
    EXPECT_TRUE(store_->layers().contains(cached.chain_id));
    answers = true;
    EXPECT_EQ(collect().layers_removed, 0U);
}

TEST_F(GarbageCollectorTest, StopsWhenAsked) {
    add_layer({}, simple_tar("1"));
    end_lease();
    std::stop_source stop;
    stop.request_stop();
    auto report = store_->garbage_collector().collect(stop.get_token());
    EXPECT_EQ(report.error().kind(), ErrorKind::Cancelled);
}

TEST_F(GarbageCollectorTest, SparesWhatIsYoungUnlessItWasReleased) {
    open(SnapshotterKind::Overlay, LayerForm::Directory);
    const LayerInfo base = add_layer({}, simple_tar("1"), {.keep_blob = true});
    ASSERT_TRUE(store_->layers().ensure_blob(*lease_, base.chain_id).ok());
    const LayerInfo top = add_layer(base.chain_id, simple_tar("2"));
    store_->blobs().put(*lease_, "of a pull").value();
    end_lease();
    const auto collect_by = [this](CollectionOptions options) {
        return store_->garbage_collector().collect({}, std::move(options)).value();
    };
    const std::chrono::hours hour{1};
    EXPECT_EQ(collect_by({.minimum_age = hour}).layers_removed, 0U);
    const CollectionReport report =
        collect_by({.released = {top.chain_id, base.chain_id}, .only_released = true});
    EXPECT_EQ(report.layers_removed, 2U);
    EXPECT_EQ(report.blobs_removed, 1U);
    EXPECT_EQ(store_->blobs().list()->size(), 1U);
    EXPECT_EQ(collect_by({}).blobs_removed, 1U);
}

TEST_F(GarbageCollectorTest, RemovesNoMoreThanItsBound) {
    for (const char* bytes : {"1", "2", "3"}) {
        store_->blobs().put(*lease_, bytes).value();
    }
    end_lease();
    auto report = store_->garbage_collector().collect({}, {.bound = 2}).value();
    EXPECT_EQ(report.blobs_removed, 2U);
    EXPECT_TRUE(report.more);
    report = store_->garbage_collector().collect({}, {.bound = 2}).value();
    EXPECT_EQ(report.blobs_removed, 1U);
    EXPECT_FALSE(report.more);
}

TEST_F(GarbageCollectorTest, RemovesDownloadsThatBrokeOff) {
    const oci::Digest digest = oci::Digest::of("whole");
    const std::string path = root() + "/blobs/partial/" + std::string(digest.hex());
    {
        BlobWriter writer = store_->blobs().resume(*lease_, digest).value();
        ASSERT_TRUE(writer.write("who").ok());
        EXPECT_EQ(store_->blobs().remove_partials(std::chrono::nanoseconds(0)), 0U) << "in use";
    }
    ASSERT_TRUE(exists(path));
    const CollectionOptions options{.minimum_age = std::chrono::hours(1), .partials = true};
    EXPECT_EQ(store_->garbage_collector().collect({}, options)->partials_removed, 0U);
    const timespec times[2] = {{.tv_sec = 1, .tv_nsec = 0}, {.tv_sec = 1, .tv_nsec = 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    EXPECT_EQ(store_->garbage_collector().collect({}, options)->partials_removed, 1U);
    EXPECT_FALSE(exists(path));
}

// Images come and go while the collector runs; none may lose a layer or a blob.
TEST_F(GarbageCollectorTest, RunsWhileImagesAreMade) {
    std::atomic<bool> done = false;
    std::jthread collector([&] {
        while (!done) {
            EXPECT_TRUE(store_->garbage_collector().collect().ok());
        }
    });
    std::vector<std::jthread> makers;
    for (int thread = 0; thread < 3; ++thread) {
        makers.emplace_back([this, thread] {
            for (int i = 0; i < 15; ++i) {
                Lease lease = store_->leases().create();
                // The same layer again and again: often about to be collected.
                StringSource source(simple_tar(std::to_string(i % 3)));
                auto layer = store_->layers().apply(lease, {}, source, {.keep_blob = true});
                ASSERT_TRUE(layer.ok()) << layer.error().message();
                oci::ImageConfig config;
                config.author = std::to_string(thread * 100 + i);
                config.rootfs.diff_ids = {layer->diff_id};
                NewImage image;
                image.config_json = config.serialize();
                auto stored = store_->images().create(image);
                ASSERT_TRUE(stored.ok()) << stored.error().message();
                { Lease ended = std::move(lease); }
                Lease push = store_->leases().create();
                auto pushable = store_->images().manifest_for_push(push, stored->id);
                ASSERT_TRUE(pushable.ok()) << pushable.error().message();
                ASSERT_TRUE(store_->blobs().contains(pushable->manifest.layers[0].digest));
                ASSERT_TRUE(store_->images().remove(stored->id).ok());
            }
        });
    }
    makers.clear();
    done = true;
    collector.join();
    end_lease();
    collect();
    EXPECT_TRUE(store_->blobs().list().value().empty());
    EXPECT_TRUE(store_->layers().list().value().empty());
}

} // namespace
} // namespace berth::store
