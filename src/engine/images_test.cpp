// SPDX-License-Identifier: Apache-2.0
// The image service over a real store: names, ids, and who may delete what.
#include "base/file.h"
#include "engine/events.h"
#include "engine/images.h"
#include "store/archive.h"
#include "store/store.h"

#include <gtest/gtest.h>

namespace berth::engine {

namespace {

class ImagesTest : public testing::Test {
  protected:
    void SetUp() override {
        auto directory = TemporaryDirectory::create(testing::TempDir());
        ASSERT_TRUE(directory.ok());
        directory_.emplace(std::move(directory).value());
        auto store = store::Store::open(
            {.root = directory_->path() + "/data", .snapshotter = store::SnapshotterKind::Copy});
        ASSERT_TRUE(store.ok()) << store.error().message();
        store_ = std::move(store).value();
        const std::string program = directory_->path() + "/hello";
        ASSERT_TRUE(replace_file(program, "#!program", 0755, Sync::No).ok());
        images_ = std::make_unique<Images>(
            ImagesOptions{.store = store_.get(), .events = &events_, .hello_binary = program});
        images_->set_users([this](const std::string&, bool running_only) {
            return running_only ? running_ : users_;
        });
    }

    // An image of one program under this name; its id.
    std::string make(const std::string& name, const std::string& program) {
        auto reference = oci::Reference::parse_normalized(name);
        auto image =
            store::create_program_image(store_->images(), program, reference->with_default_tag());
        EXPECT_TRUE(image.ok()) << (image.ok() ? "" : image.error().message());
        return image.ok() ? image->id.to_string() : "";
    }

    std::string removal_of(const std::string& image, bool force = false) {
        auto removed = images_->remove(image, {.force = force, .no_prune = false});
        if (!removed.ok()) {
            return removed.error().message();
        }
        std::string lines;
        for (const ImageRemoval& line : *removed) {
            lines += line.untagged.empty() ? "Deleted " : "Untagged " + line.untagged + "; ";
        }
        return lines;
    }

    std::optional<TemporaryDirectory> directory_;
    std::unique_ptr<store::Store> store_;
    Events events_;
    std::unique_ptr<Images> images_;
    std::vector<std::string> users_;
    std::vector<std::string> running_;
};

} // namespace

TEST_F(ImagesTest, SaysThatThereIsNoSuchImage) {
    const auto missing = images_->for_container("nothing", "");
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().message(), "No such image: nothing:latest");
    EXPECT_EQ(missing.error().kind(), ErrorKind::NotFound);
}

TEST_F(ImagesTest, MakesTheBuiltInImageWhenItIsAskedFor) {
    EXPECT_EQ(images_->count(), 0);
    const auto image = images_->for_container("berth/hello", "");
    ASSERT_TRUE(image.ok()) << image.error().message();
    EXPECT_FALSE(image->chain_id.empty());
    EXPECT_EQ(
        image->config.cmd.value_or(std::vector<std::string>()), std::vector<std::string>{"/hello"});
    EXPECT_EQ(images_->for_container("berth/hello:latest", "")->id, image->id);
    EXPECT_EQ(images_->count(), 1);
}

TEST_F(ImagesTest, RefusesAnotherPlatform) {
    const auto image = images_->for_container("berth/hello", "linux/s390x");
    ASSERT_FALSE(image.ok());
    EXPECT_NE(
        image.error().message().find("does not match the specified platform (linux/s390x)"),
        std::string::npos);
}

TEST_F(ImagesTest, ListsTagsAndFilters) {
    make("a:1", "one");
    ASSERT_TRUE(images_->tag("a:1", "registry:5000/b", "2").ok());
    make("c", "two");
    const auto all = images_->list({});
    ASSERT_TRUE(all.ok());
    EXPECT_EQ(all->size(), 2U);
    ImageListOptions options;
    options.filters.add("reference", "registry:5000/b");
    const auto found = images_->list(options);
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->size(), 1U);
    EXPECT_EQ(found->at(0).repo_tags, std::vector<std::string>{"registry:5000/b:2"});
    ImageListOptions unknown;
    unknown.filters.add("nonsense", "x");
    EXPECT_EQ(images_->list(unknown).error().kind(), ErrorKind::InvalidArgument);
}

TEST_F(ImagesTest, UntagsUntilTheLastNameAndThenDeletes) {
    make("a", "one");
    ASSERT_TRUE(images_->tag("a", "b", "").ok());
    EXPECT_EQ(removal_of("a"), "Untagged a:latest; ");
    EXPECT_EQ(removal_of("b"), "Untagged b:latest; Deleted Deleted ");
    EXPECT_EQ(removal_of("b"), "No such image: b:latest");
}

TEST_F(ImagesTest, WantsForceForAnIdWithSeveralNames) {
    const std::string id = make("a", "one");
    ASSERT_TRUE(images_->tag("a", "b", "").ok());
    const std::string short_id = id.substr(7, 12);
    EXPECT_EQ(
        removal_of(id),
        "conflict: unable to delete " + short_id +
            " (must be forced) - image is referenced in multiple repositories");
    EXPECT_EQ(removal_of(short_id, true), "Untagged a:latest; Untagged b:latest; Deleted Deleted ");
}

TEST_F(ImagesTest, KeepsAnImageThatContainersUse) {
    const std::string id = make("a", "one");
    users_ = {"0123456789abcdef"};
    EXPECT_EQ(
        removal_of("a"),
        "conflict: unable to remove repository reference \"a\" (must force) - container "
        "0123456789ab is using its referenced image " +
            id.substr(7, 12));
    running_ = users_;
    EXPECT_EQ(
        removal_of(id, true),
        "conflict: unable to delete " + id.substr(7, 12) +
            " (cannot be forced) - image is being used by running container 0123456789ab");
}

TEST_F(ImagesTest, PrunesDanglingImagesOnlyUnlessToldOtherwise) {
    make("a", "one");
    make("a", "two");
    auto pruned = images_->prune({}, {});
    ASSERT_TRUE(pruned.ok()) << pruned.error().message();
    EXPECT_EQ(images_->count(), 1);
    EXPECT_GT(pruned->deleted.size(), 0U);
    Filters all;
    all.add("dangling", "false");
    users_ = {"c"};
    ASSERT_TRUE(images_->prune({}, all).ok());
    EXPECT_EQ(images_->count(), 1);
    users_.clear();
    ASSERT_TRUE(images_->prune({}, all).ok());
    EXPECT_EQ(images_->count(), 0);
}

TEST_F(ImagesTest, TellsWhatHappens) {
    std::vector<std::string> actions;
    const Subscription subscription =
        events_.subscribe({}, [&actions](const Event& event) { actions.push_back(event.action); });
    make("a", "one");
    ASSERT_TRUE(images_->tag("a", "b", "").ok());
    removal_of("a");
    removal_of("b");
    EXPECT_EQ(actions, (std::vector<std::string>{"tag", "untag", "untag", "delete"}));
}

} // namespace berth::engine
