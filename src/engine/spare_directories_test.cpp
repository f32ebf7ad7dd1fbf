// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "engine/spare_directories.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include <sys/stat.h>

namespace berth::engine {
namespace {

struct stat status_of(const std::string& path) {
    struct stat status {};

    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status;
}

// Refills happen when the test says so.
class SpareDirectoriesTest : public ::testing::Test {
  protected:
    SpareDirectories make_spares() {
        return SpareDirectories(
            {.place = place_, .count = 2, .later = [this](auto, std::function<void()> job) {
                 jobs_.push_back(std::move(job));
             }});
    }

    void refill() {
        while (!jobs_.empty()) {
            for (const auto& job : std::exchange(jobs_, {})) {
                job();
            }
        }
    }

    std::vector<std::string> spares() const {
        return exists(place_) ? list_directory(place_).value() : std::vector<std::string>();
    }

    TemporaryDirectory folder_ = TemporaryDirectory::create("/tmp").value();
    std::string place_ = folder_.path() + "/spare";
    std::vector<std::function<void()>> jobs_;
};

TEST_F(SpareDirectoriesTest, HasNoneUntilOneWasWanted) {
    SpareDirectories directories = make_spares();
    EXPECT_TRUE(jobs_.empty());
    ASSERT_TRUE(directories.make(folder_.path() + "/first", 0700).ok());
    EXPECT_TRUE(spares().empty());
    EXPECT_EQ(jobs_.size(), 1U);
    refill();
    EXPECT_EQ(spares().size(), 2U);
}

TEST_F(SpareDirectoriesTest, GivesSpareOnesTheNameAndMode) {
    SpareDirectories directories = make_spares();
    ASSERT_TRUE(directories.make(folder_.path() + "/first", 0700).ok());
    refill();
    const ino_t spare = status_of(place_ + "/" + spares().front()).st_ino;
    ASSERT_TRUE(directories.make(folder_.path() + "/second", 0710).ok());
    const struct stat made = status_of(folder_.path() + "/second");
    EXPECT_EQ(made.st_ino, spare);
    EXPECT_EQ(made.st_mode & 0777, 0710U);
    EXPECT_EQ(spares().size(), 1U);
    refill();
    EXPECT_EQ(spares().size(), 2U);
}

TEST_F(SpareDirectoriesTest, MakesWhatIsNotThere) {
    SpareDirectories directories = make_spares();
    for (const char* name : {"/a", "/b", "/c"}) {
        ASSERT_TRUE(directories.make(folder_.path() + name, 0700).ok());
        EXPECT_TRUE(exists(folder_.path() + name));
    }
    EXPECT_EQ(jobs_.size(), 1U); // for all three
}

TEST_F(SpareDirectoriesTest, WhatWasTakenAwayIsMadeAnew) {
    SpareDirectories directories = make_spares();
    ASSERT_TRUE(directories.make(folder_.path() + "/first", 0700).ok());
    refill();
    ASSERT_TRUE(remove_tree(place_).ok());
    ASSERT_TRUE(directories.make(folder_.path() + "/second", 0700).ok());
    EXPECT_TRUE(exists(folder_.path() + "/second"));
}

TEST_F(SpareDirectoriesTest, RemovesWhatAnEngineOfBeforeHasLeft) {
    ASSERT_TRUE(make_directories(place_ + "/0").ok());
    ASSERT_TRUE(replace_file(place_ + "/0/file", "old", 0600, Sync::No).ok());
    SpareDirectories directories = make_spares();
    ASSERT_TRUE(directories.make(folder_.path() + "/first", 0700).ok());
    refill();
    ASSERT_TRUE(directories.make(folder_.path() + "/second", 0700).ok());
    EXPECT_TRUE(list_directory(folder_.path() + "/second").value().empty());
}

} // namespace
} // namespace berth::engine
