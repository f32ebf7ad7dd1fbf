// SPDX-License-Identifier: Apache-2.0
// The build cache on a real store: what its records are on the disk, and which of them go.
#include "build/builder_test_support.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace berth::build {

namespace {

constexpr const char* two_steps = "FROM busybox\nRUN head -c 300000 /dev/urandom > /large\n"
                                  "RUN echo small > /small\nENV X=1\n";

class BuildCacheTest : public BuilderTest {
  protected:
    std::vector<CacheRecord> records() { return builder_->cache_records().value(); }

    CacheRecord record_of(std::string_view words) {
        for (const CacheRecord& record : records()) {
            if (record.description.find(words) != std::string::npos) {
                return record;
            }
        }
        ADD_FAILURE() << "no record of " << words;
        return {};
    }

    CachePruneReport prune(const CacheRule& rule) {
        return builder_->prune_cache({}, rule).value();
    }

    std::uint64_t on_disk() {
        const store::DiskUsage usage = store_->images().disk_usage().value();
        return usage.layers_size + usage.blobs_size;
    }

    bool is_cached(const std::string& dockerfile) {
        must_build(dockerfile);
        return output_.find("Running in") == std::string::npos;
    }
};

} // namespace

TEST_F(BuildCacheTest, KeepsStepsThatAreNoImages) {
    const std::uint64_t before = on_disk();
    const oci::Digest id = must_build(two_steps, {}, {.tags = {"app"}});
    EXPECT_EQ(store_->images().count().value(), 2U); // and busybox
    EXPECT_EQ(records().size(), 3U);
    const CacheRecord large = record_of("/large");
    EXPECT_EQ(large.type, "regular");
    EXPECT_TRUE(large.shared);
    EXPECT_FALSE(large.in_use);
    EXPECT_GE(large.size, 300000U);
    EXPECT_TRUE(large.parents.empty());
    EXPECT_EQ(record_of("/small").parents, std::vector<std::string>{large.id});
    EXPECT_TRUE(record_of("ENV").shared);
    // Now the cache alone has them.
    ASSERT_TRUE(store_->images().remove(id).ok());
    ASSERT_TRUE(store_->garbage_collector().collect().ok());
    std::uint64_t sum = 0;
    for (const CacheRecord& record : records()) {
        EXPECT_FALSE(record.shared);
        sum += record.size;
    }
    EXPECT_EQ(on_disk(), before + sum);
    EXPECT_TRUE(is_cached(two_steps));
    EXPECT_EQ(record_of("/large").usage_count, 2);
    EXPECT_TRUE(store_->images().get(id).ok()) << "the same image again";
}

TEST_F(BuildCacheTest, ABaseImageThatWentCountsAsTheCachesOnce) {
    must_build(two_steps, {}, {.tags = {"app"}});
    must_build("FROM busybox\nRUN echo other > /other\n", {}, {.tags = {"other"}});
    const std::uint64_t all = on_disk();
    for (const char* name : {"app", "other", "busybox"}) {
        ASSERT_TRUE(store_->images().remove(store_->images().get(name)->id).ok());
    }
    ASSERT_TRUE(store_->garbage_collector().collect().ok());
    std::uint64_t sum = 0;
    for (const CacheRecord& record : records()) {
        sum += record.size;
    }
    EXPECT_EQ(on_disk(), sum);
    EXPECT_LT(sum, all); // their configurations
    const CachePruneReport report = prune({.all = true});
    EXPECT_EQ(report.deleted.size(), 4U);
    EXPECT_EQ(report.space_reclaimed, sum);
    EXPECT_EQ(on_disk(), 0U);
}

TEST_F(BuildCacheTest, PrunesWhatIsNotSharedUnlessAll) {
    must_build(two_steps, {}, {.tags = {"app"}});
    EXPECT_NE(error_of("FROM busybox\nRUN echo lost > /lost\nRUN false\n"), "");
    const CacheRecord lost = record_of("/lost");
    EXPECT_FALSE(lost.shared);
    CachePruneReport report = prune({});
    EXPECT_EQ(report.deleted, std::vector<std::string>{lost.id});
    EXPECT_EQ(report.space_reclaimed, lost.size);
    EXPECT_TRUE(is_cached(two_steps));
    EXPECT_TRUE(prune({.all = true, .max_used_space = 1}).deleted.empty());
    report = prune({.all = true});
    EXPECT_EQ(report.deleted.size(), 3U);
    EXPECT_EQ(report.space_reclaimed, 0U) << "the image still has them";
    EXPECT_EQ(content(store_->images().get("app")->id, "/small"), "small\n");
    EXPECT_FALSE(is_cached(two_steps));
}

TEST_F(BuildCacheTest, PrunesTheLeastRecentlyUsedDownToASize) {
    const auto build_one = [this](const std::string& name) {
        error_of("FROM busybox\nRUN head -c 300000 /dev/urandom > /" + name + "\nRUN false\n");
    };
    build_one("first");
    build_one("second");
    build_one("third");
    build_one("first"); // used again
    const CacheRecord second = record_of("/second");
    const CachePruneReport report = prune({.max_used_space = 2 * second.size + 100'000});
    EXPECT_EQ(report.deleted, std::vector<std::string>{second.id});
    EXPECT_EQ(records().size(), 2U);
    EXPECT_TRUE(prune({.max_used_space = 10'000'000}).deleted.empty());
    EXPECT_TRUE(
        prune({.reserved_space = 10'000'000, .min_free_space = 1ULL << 60}).deleted.empty());
    EXPECT_EQ(prune({.min_free_space = 1ULL << 60}).deleted.size(), 2U);
}

TEST_F(BuildCacheTest, AsksAgesAndFilters) {
    error_of(
        std::string(two_steps) + "RUN --mount=type=cache,target=/c echo 1 > /c/x\nRUN false\n");
    EXPECT_EQ(records().size(), 5U);
    EXPECT_TRUE(prune({.unused_for = std::chrono::hours(1)}).deleted.empty());
    const CacheRecord mount = record_of("cached mount /c");
    EXPECT_EQ(mount.type, "exec.cachemount");
    EXPECT_GT(mount.size, 0U);
    EXPECT_EQ(left_in("data/build-cache").size(), 1U);
    const CacheRule by_type{.filters = {{"type", {"source.local", "exec.cachemount"}}}};
    EXPECT_EQ(prune(by_type).deleted, std::vector<std::string>{mount.id});
    EXPECT_TRUE(left_in("data/build-cache").empty());
    // What other steps stand on stays with them.
    EXPECT_TRUE(prune({.filters = {{"id", {record_of("/large").id}}}}).deleted.empty());
    EXPECT_TRUE(prune({.filters = {{"label", {"a"}}}}).deleted.empty());
    EXPECT_TRUE(prune({.filters = {{"inuse", {}}}}).deleted.empty());
    const std::string leaf = record_of("/c/x").id;
    EXPECT_EQ(prune({.filters = {{"id", {leaf}}}}).deleted, std::vector<std::string>{leaf});
    EXPECT_EQ(
        builder_->prune_cache({}, {.filters = {{"color", {}}}}).error().message(),
        "invalid filter 'color'");
    EXPECT_EQ(prune({.filters = {{"private", {}}}}).deleted.size(), 3U);
}

TEST_F(BuildCacheTest, LeavesWhatARunningBuildUses) {
    const std::string dockerfile = "FROM busybox\nRUN echo 1 > /one\n"
                                   "RUN --mount=type=cache,target=/c sleep 600\n";
    std::stop_source stop;
    std::thread building([&] { (void)build(dockerfile, {}, {}, stop.get_token()).ok(); });
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    std::vector<CacheRecord> all;
    while (all.size() < 2 && std::chrono::steady_clock::now() < end) {
        all = records();
        std::this_thread::yield();
    }
    EXPECT_EQ(all.size(), 2U);
    EXPECT_TRUE(std::all_of(all.begin(), all.end(), [](const auto& one) { return one.in_use; }));
    EXPECT_TRUE(prune({.all = true}).deleted.empty());
    stop.request_stop();
    building.join();
    EXPECT_EQ(prune({.all = true}).deleted.size(), 2U);
}

TEST_F(BuildCacheTest, ForgetsStepsWhoseLayersAreLost) {
    error_of("FROM busybox\nRUN echo lost > /lost\nRUN false\n");
    ASSERT_EQ(records().size(), 1U);
    const auto layers = store_->layers().list().value();
    for (const store::LayerInfo& layer : layers) {
        (void)store_->layers().remove(layer.chain_id).ok(); // the base has a child
    }
    EXPECT_TRUE(records().empty());
}

TEST(CacheRule, KeepsWithinItsSizes) {
    EXPECT_FALSE(space_to_keep({}, 100, 100));
    EXPECT_EQ(space_to_keep({.max_used_space = 50}, 100, 100), 50U);
    EXPECT_EQ(space_to_keep({.reserved_space = 30}, 100, 100), 30U);
    EXPECT_EQ(space_to_keep({.reserved_space = 30, .max_used_space = 20}, 100, 100), 30U);
    EXPECT_EQ(space_to_keep({.min_free_space = 50}, 100, 100), 100U);
    EXPECT_EQ(space_to_keep({.min_free_space = 150}, 100, 100), 50U);
    EXPECT_EQ(space_to_keep({.min_free_space = 500}, 100, 100), 0U);
    EXPECT_EQ(
        space_to_keep(
            {.reserved_space = 10, .max_used_space = 80, .min_free_space = 130}, 100, 100),
        70U);
}

} // namespace berth::build
