// SPDX-License-Identifier: Apache-2.0
// The index of a repository and its journal: what others can read, and what a crash leaves.
#include "base/strings.h"
#include "oci/manifest.h"
#include "registry/server/test_storage.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace berth::registry {

namespace {

class StorageIndexTest : public StorageTest {
  protected:
    // Every index is a large one.
    void open_large() { open({.small_index = 0}); }

    oci::Digest put_number(int number) {
        return put("a", R"({"n":)" + std::to_string(number) + "}", "v" + std::to_string(number));
    }

    // What another program finds in the layout, by tag.
    std::map<std::string, std::string> listed() const {
        std::map<std::string, std::string> found;
        auto index = json::decode_text<oci::Index>(*read_file(layout("a") + "/index.json"));
        for (const oci::Descriptor& entry : index->manifests) {
            auto tag = entry.annotations.find("org.opencontainers.image.ref.name");
            if (tag != entry.annotations.end()) {
                found.emplace(tag->second, entry.digest.to_string());
            }
            EXPECT_TRUE(exists(layout("a") + "/blobs/sha256/" + std::string(entry.digest.hex())));
        }
        return found;
    }

    std::string journal() const { return root() + "/repositories/a/_changes"; }

    std::size_t journal_lines() const {
        auto text = read_file(journal());
        return text.ok() ? static_cast<std::size_t>(std::ranges::count(*text, '\n')) : 0;
    }

    // The root as a process that dies now leaves it.
    void crash() {
        std::string copy = directory_.path() + "/copy";
        std::filesystem::copy(root(), copy, std::filesystem::copy_options::recursive);
        storage_.reset();
        EXPECT_TRUE(remove_tree(root()).ok());
        EXPECT_EQ(rename(copy.c_str(), root().c_str()), 0);
    }
};

} // namespace

TEST_F(StorageIndexTest, WritesASmallIndexAtOnce) {
    open();
    oci::Digest digest = put_number(1);
    EXPECT_EQ(listed()["v1"], digest.to_string());
    EXPECT_FALSE(exists(journal()));
}

TEST_F(StorageIndexTest, FindsJournaledChangesAfterACrash) {
    open_large();
    oci::Digest first = put_number(1);
    oci::Digest second = put_number(2);
    put_number(3);
    ASSERT_TRUE(storage_->remove_manifest("a", "v2").ok());
    ASSERT_TRUE(storage_->remove_manifest("a", put_number(4).to_string()).ok());
    EXPECT_EQ(journal_lines(), 6U);
    crash();
    for (int start = 0; start < 2; ++start) {
        open_large();
        EXPECT_EQ(storage_->manifest("a", "v1")->descriptor.digest, first);
        EXPECT_TRUE(storage_->manifest("a", second.to_string()).ok());
        EXPECT_EQ(storage_->tags("a", {}, 10)->names, (std::vector<std::string>{"v1", "v3"}));
    }
}

TEST_F(StorageIndexTest, IsUpToDateAfterACleanStop) {
    open_large();
    oci::Digest digest = put_number(1);
    storage_.reset();
    EXPECT_EQ(listed()["v1"], digest.to_string());
    EXPECT_EQ(journal_lines(), 0U);
}

TEST_F(StorageIndexTest, FollowsAMomentLater) {
    open_large();
    oci::Digest digest = put_number(1);
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (listed().empty() && std::chrono::steady_clock::now() < end) {
        std::this_thread::yield();
    }
    EXPECT_EQ(listed()["v1"], digest.to_string());
}

TEST_F(StorageIndexTest, NamesOnlyWhatIsThereWhenManifestsGo) {
    open_large();
    put_number(1);
    oci::Digest gone = put_number(2);
    open_large(); // index.json has both
    ASSERT_TRUE(storage_->remove_manifest("a", gone.to_string()).ok());
    EXPECT_FALSE(storage_->manifest("a", "v2").ok());
    EXPECT_EQ(listed().size(), 2U); // and their blobs are there
    open_large();
    EXPECT_EQ(listed().size(), 1U);
}

TEST_F(StorageIndexTest, KeepsAManifestThatIsPushedAgain) {
    open_large();
    oci::Digest digest = put_number(1);
    ASSERT_TRUE(storage_->remove_manifest("a", digest.to_string()).ok());
    put_number(1);
    open_large();
    EXPECT_EQ(*storage_->manifest("a", "v1")->bytes, R"({"n":1})");
}

TEST_F(StorageIndexTest, ForgetsALineThatWasCutOff) {
    open_large();
    put_number(1);
    put_number(2);
    crash();
    std::string text = *read_file(journal());
    ASSERT_TRUE(replace_file(journal(), text.substr(0, text.size() - 7)).ok());
    open_large();
    EXPECT_EQ(storage_->tags("a", {}, 10)->names, (std::vector<std::string>{"v1"}));
    put_number(3);
    crash();
    open_large();
    EXPECT_EQ(storage_->tags("a", {}, 10)->names, (std::vector<std::string>{"v1", "v3"}));
}

TEST_F(StorageIndexTest, TellsOfADamagedJournal) {
    open_large();
    put_number(1);
    put_number(2);
    crash();
    std::string text = *read_file(journal());
    text[3] = 'x';
    ASSERT_TRUE(replace_file(journal(), text).ok());
    open_large();
    auto tags = storage_->tags("a", {}, 10);
    ASSERT_FALSE(tags.ok());
    EXPECT_EQ(tags.error().kind(), ErrorKind::DataLoss);
    EXPECT_NE(tags.error().message().find("journal is damaged at byte 0"), std::string::npos);
}

TEST_F(StorageIndexTest, IgnoresRecordsThatTheIndexHasAlready) {
    open_large();
    put("a", R"({"n":1})", "v");
    std::string old = *read_file(journal());
    put("a", R"({"n":2})", "v");
    storage_.reset();
    ASSERT_TRUE(replace_file(journal(), old).ok()); // the power failed before it was emptied
    open_large();
    EXPECT_EQ(*storage_->manifest("a", "v")->bytes, R"({"n":2})");
}

TEST_F(StorageIndexTest, DoesNotGrowTheJournalWithoutEnd) {
    open_large();
    for (int i = 0; i < 120; ++i) {
        put_number(i);
    }
    EXPECT_LT(journal_lines(), 100U);
    crash();
    open_large();
    EXPECT_EQ(storage_->tags("a", {}, 1000)->names.size(), 120U);
}

} // namespace berth::registry
