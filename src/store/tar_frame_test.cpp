// SPDX-License-Identifier: Apache-2.0
#include "store/frame_recorder.h"
#include "store/layer_extractor.h"
#include "store/layer_testing.h"
#include "store/tar_frame.h"
#include "store/tree_removal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {
namespace {

using testing::TarBuilder;

class TarFrameTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!testing::is_root()) {
            GTEST_SKIP() << "needs root: owners, devices";
        }
        ASSERT_EQ(mkdir(tree().c_str(), 0755), 0);
    }

    std::string tree() const { return directory_.path() + "/tree"; }

    std::string frame() const { return frame_of(directory_.path()); }

    Result<void> take_apart(const std::string& tar) {
        StringSource source(tar);
        UniqueFd root = TRY(open_file(tree(), O_RDONLY | O_DIRECTORY));
        auto recorder = TRY(FrameRecorder::create(source, directory_.path(), root));
        LayerExtractor extractor = TRY(LayerExtractor::create(tree()));
        TRY(extractor.extract(*recorder));
        return recorder->finish();
    }

    Result<std::string> make_again() {
        auto tar = TRY(FramedTar::open(directory_.path(), tree()));
        std::string bytes = TRY(read_to_end(*tar, SIZE_MAX));
        EXPECT_EQ(bytes.size(), tar->tar_bytes());
        return bytes;
    }

    void expect_again(const std::string& tar) {
        const Result<void> taken = take_apart(tar);
        ASSERT_TRUE(taken.ok()) << taken.error().message();
        const Result<std::string> made = make_again();
        ASSERT_TRUE(made.ok()) << made.error().message();
        EXPECT_TRUE(*made == tar);
        EXPECT_THAT(
            list_directory(directory_.path()).value(), ::testing::ElementsAre("tar.frame", "tree"));
    }

    // The contents that the frame finds in files.
    std::vector<std::string> contents() {
        std::vector<std::string> paths;
        auto reader = FrameReader::open(frame()).value();
        for (FramePart part = reader->next().value(); part.kind != FramePart::Kind::End;
             part = reader->next().value()) {
            if (part.kind == FramePart::Kind::Content) {
                paths.push_back(part.bytes);
            }
        }
        return paths;
    }

    void start_over() {
        ASSERT_TRUE(remove_tree_of(tree()).ok());
        (void)unlink(frame().c_str());
        ASSERT_EQ(mkdir(tree().c_str(), 0755), 0);
    }

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
};

TEST_F(TarFrameTest, GivesTheTarAgainFromTheFiles) {
    const std::string tar = TarBuilder()
                                .directory("d")
                                .file("z", "last comes first")
                                .file("d/empty", "")
                                .file("d/big", std::string(3'000'000, 'x') + "y")
                                .file("zeros", std::string(1'000'000, '\0'))
                                .hard_link("d/same", "z")
                                .symlink("d/link", "../z")
                                .file("d/.wh.gone", "")
                                .file("d/.wh..wh..opq", "")
                                .file(".wh..wh.aufs", "of no use")
                                .file(std::string(200, 'n') + "/" + std::string(200, 'm'), "long")
                                .finish();
    expect_again(tar);
    EXPECT_THAT(
        contents(),
        ::testing::ElementsAre(
            "z", "d/big", "zeros", std::string(200, 'n') + "/" + std::string(200, 'm')));

    struct stat status {};

    ASSERT_EQ(stat(frame().c_str(), &status), 0);
    EXPECT_LT(status.st_size, 2000);
}

// GNU tar fills up to 10 KiB, others append what they like.
TEST_F(TarFrameTest, KeepsWhatFollowsTheEnd) {
    expect_again(TarBuilder().file("a", "1").finish() + std::string(7777, '\0') + "rest");
    start_over();
    const std::string whole = TarBuilder().file("a", "1").finish();
    expect_again(whole.substr(0, whole.size() - 1024)); // no end at all
    start_over();
    expect_again(std::string(1024, '\0'));
}

TEST_F(TarFrameTest, KeepsContentsThatWereReplaced) {
    expect_again(TarBuilder().file("a", "first").file("a", "second").file("a", "third").finish());
    EXPECT_THAT(contents(), ::testing::ElementsAre("a"));
    start_over();
    // A directory with all that is in it, twice, and a name in it that changed before.
    expect_again(TarBuilder()
                     .file("d/e/x", "1")
                     .file("d/e/x", "2")
                     .file("d/y", "3")
                     .symlink("d", "elsewhere")
                     .directory("d")
                     .file("d/e/x", "4")
                     .file("d", "5")
                     .finish());
    EXPECT_THAT(contents(), ::testing::ElementsAre("d"));
    start_over();
    // Its other name stays.
    expect_again(TarBuilder()
                     .file("a", "shared")
                     .hard_link("b", "a")
                     .file("a", "new")
                     .file("c", "3")
                     .hard_link("c", "b")
                     .finish());
    EXPECT_EQ(read_file(tree() + "/c").value(), "shared");
    start_over();
    std::string many = "0";
    TarBuilder tar;
    for (int i = 0; i < 300; ++i) {
        tar.file("a", many).file("b/" + std::to_string(i % 7), many);
        many += std::to_string(i);
    }
    expect_again(tar.finish());
}

TEST_F(TarFrameTest, FindsFilesBehindLinks) {
    expect_again(TarBuilder()
                     .directory("real")
                     .file("real/x", "1")
                     .symlink("link", "real")
                     .file("link/x", "2") // the same place
                     .file("link/y", "3")
                     .directory("other")
                     .symlink("link", "other") // and now another
                     .file("link/y", "4")
                     .symlink("root", "/")
                     .file("root/top", "5")
                     .file("root/real/y", "6")
                     .finish());
    EXPECT_THAT(contents(), ::testing::ElementsAre("real/x", "other/y", "top", "real/y"));
}

TEST_F(TarFrameTest, KeepsSparseFiles) {
    testing::run_shell(
        "cd " + directory_.path() +
        "; mkdir from; truncate -s 5M from/s; printf middle | dd of=from/s bs=1 seek=3000000 "
        "conv=notrunc 2>/dev/null; printf end >>from/s; for format in gnu pax; do tar -C from -cS "
        "--format=$format -f $format.tar s; done; tar -C from -cS --format=pax "
        "--sparse-version=0.1 -f old.tar s");
    std::vector<std::string> tars;
    for (const char* name : {"gnu.tar", "pax.tar", "old.tar"}) {
        tars.push_back(read_file(directory_.path() + "/" + name).value());
        ASSERT_LT(tars.back().size(), std::size_t{100'000});
        ASSERT_EQ(unlink((directory_.path() + "/" + name).c_str()), 0);
    }
    ASSERT_TRUE(remove_tree_of(directory_.path() + "/from").ok());
    for (const std::string& tar : tars) {
        expect_again(tar);
        EXPECT_THAT(contents(), ::testing::Contains("s"));
        start_over();
    }
}

// Names that are used again and again, directories and links where files were, and back.
TEST_F(TarFrameTest, GivesAnyTarAgain) {
    const char* names[] = {"a", "b", "d/a", "d/b", "d/e/a", "l/a", "l/e/b", "d", "d/e", "l", "e"};
    int taken = 0;
    for (unsigned seed = 0; seed < 300; ++seed) {
        std::mt19937 chance(seed);
        const auto name = [&] { return std::string(names[chance() % std::size(names)]); };
        TarBuilder tar;
        tar.directory("d").directory("d/e").symlink("l", "d");
        for (unsigned i = 0; i < 4 + seed % 8; ++i) {
            const std::string content = std::to_string(seed) + std::string(chance() % 2000, 'c');
            switch (chance() % 10) {
            case 0:
                tar.directory(chance() % 2 == 0 ? "d" : name());
                break;
            case 1:
                tar.symlink("l", chance() % 2 == 0 ? "d" : "d/e");
                break;
            case 2:
                tar.file("b", content).hard_link(name(), "b");
                break;
            default:
                tar.file(name(), content);
                break;
            }
        }
        const std::string bytes = tar.finish();
        if (take_apart(bytes).ok()) { // else no layer can be made of it
            ++taken;
            const Result<std::string> made = make_again();
            ASSERT_TRUE(made.ok()) << seed << ": " << made.error().message();
            ASSERT_TRUE(*made == bytes) << seed;
        }
        (void)remove_tree_of(directory_.path() + "/replaced");
        start_over();
    }
    EXPECT_GT(taken, 20);
}

TEST_F(TarFrameTest, SaysWhenAFileIsNotAsItWas) {
    const std::string tar = TarBuilder().file("d/a", "0123456789").file("b", "x").finish();
    const auto spoil = [&](const std::string& script) {
        testing::run_shell("cd " + tree() + " && " + script);
        const Result<std::string> made = make_again();
        EXPECT_FALSE(made.ok()) << script;
        EXPECT_TRUE(made.ok() || made.error().kind() == ErrorKind::DataLoss) << script;
        EXPECT_THAT(made.ok() ? "" : made.error().message(), ::testing::HasSubstr("d/a"));
        start_over();
    };
    for (const char* script :
         {"rm d/a",
          "truncate -s 5 d/a",
          "rm -r d",
          "rm d/a && mkfifo d/a",
          "rm d/a && ln -s ../b d/a",
          "mv d e && ln -s e d"}) {
        ASSERT_TRUE(take_apart(tar).ok());
        spoil(script);
    }
}

TEST_F(TarFrameTest, SaysWhenTheFrameIsDamaged) {
    ASSERT_TRUE(take_apart(TarBuilder().file("d/a", "0123456789").file("b", "x").finish()).ok());
    const std::string whole = read_file(frame()).value();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        ASSERT_EQ(truncate(frame().c_str(), static_cast<off_t>(size)), 0);
        const Result<std::string> made = make_again();
        ASSERT_FALSE(made.ok()) << size;
        EXPECT_EQ(made.error().kind(), ErrorKind::DataLoss) << made.error().message();
        ASSERT_TRUE(replace_file(frame(), whole).ok());
    }
    // Without finish() there is none: its head is missing.
    {
        StringSource source(TarBuilder().file("x", "1").finish());
        ASSERT_EQ(unlink(frame().c_str()), 0);
        auto writer = FrameWriter::create(frame()).value();
        ASSERT_TRUE(writer->bytes("x").ok());
    }
    EXPECT_EQ(FrameReader::open(frame()).error().kind(), ErrorKind::DataLoss);
}

} // namespace
} // namespace berth::store
