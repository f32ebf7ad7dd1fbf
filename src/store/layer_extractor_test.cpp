// SPDX-License-Identifier: Apache-2.0
#include "store/layer_extractor.h"
#include "store/layer_file.h"
#include "store/layer_testing.h"
#include "store/overlay_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::store {
namespace {

using tar::EntryType;
using testing::list_tree;
using testing::TarBuilder;

class LayerExtractorTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!testing::is_root()) {
            GTEST_SKIP() << "needs root: owners, devices, trusted attributes";
        }
        ASSERT_EQ(mkdir(layer().c_str(), 0755), 0);
        ASSERT_TRUE(replace_file(outside(), "untouched").ok());
    }

    void TearDown() override {
        if (testing::is_root()) {
            EXPECT_EQ(read_file(outside()).value(), "untouched");
            EXPECT_THAT(
                list_directory(directory_.path()).value(),
                ::testing::ElementsAre("layer", "outside"));
        }
    }

    std::string layer() const { return directory_.path() + "/layer"; }

    std::string outside() const { return directory_.path() + "/outside"; }

    Result<void> extract(std::string tar, ExtractionLimits limits = {}) {
        StringSource source(std::move(tar));
        LayerExtractor extractor = TRY(LayerExtractor::create(layer(), limits));
        TRY(extractor.extract(source));
        size_ = extractor.size();
        implied_ = extractor.take_implied_directories();
        return ok();
    }

    // The tree of a tar that must extract.
    std::string tree_of(TarBuilder& tar) {
        Result<void> extracted = extract(tar.finish());
        EXPECT_TRUE(extracted.ok()) << (extracted.ok() ? "" : extracted.error().message());
        return list_tree(layer());
    }

    void expect_refused(TarBuilder& tar, ErrorKind kind = ErrorKind::InvalidArgument) {
        Result<void> extracted = extract(tar.finish());
        ASSERT_FALSE(extracted.ok());
        EXPECT_EQ(extracted.error().kind(), kind) << extracted.error().message();
    }

    struct stat status_of(const std::string& name) const {
        struct stat status {};

        EXPECT_EQ(lstat((layer() + "/" + name).c_str(), &status), 0) << name;
        return status;
    }

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::uint64_t size_ = 0;
    std::set<std::string> implied_;
};

TEST_F(LayerExtractorTest, WritesEveryKindOfEntry) {
    TarBuilder tar;
    tar.directory("etc", 0750).file("etc/passwd", "root").symlink("etc/link", "passwd");
    tar.hard_link("etc/hard", "etc/passwd");
    tar.add({.name = "fifo", .type = EntryType::Fifo, .mode = 0600});
    tar.add(
        {.name = "null",
         .type = EntryType::CharacterDevice,
         .mode = 0666,
         .device_major = 1,
         .device_minor = 3});
    EXPECT_EQ(
        tree_of(tar),
        "d 0750 0:0 etc\n"
        "f 0644 0:0 etc/hard = root\n"
        "l etc/link -> passwd\n"
        "h etc/passwd == etc/hard\n"
        "p 0600 0:0 fifo 0:0\n"
        "n 0666 0:0 null 1:3\n");
    EXPECT_EQ(size_, 4U);
}

TEST_F(LayerExtractorTest, KeepsOwnersModesAndTimes) {
    TarBuilder tar;
    tar.add(
        {.name = "sudo", .mode = 04755, .uid = 100'000, .gid = 4'000'000'000U, .mtime = -1}, "x");
    tar.add(
        {.name = "tmp",
         .type = EntryType::Directory,
         .mode = 01777,
         .uid = 7,
         .gid = 8,
         .mtime = 1'500'000'000'123'456'789});
    tar.file("tmp/later", "changes the directory's time");
    tar.add(
        {.name = "link",
         .link_name = "x",
         .type = EntryType::SymbolicLink,
         .uid = 5,
         .gid = 6,
         .mtime = 77});
    tree_of(tar);
    EXPECT_EQ(status_of("sudo").st_mode & 07777, 04755U);
    EXPECT_EQ(status_of("sudo").st_uid, 100'000U);
    EXPECT_EQ(status_of("sudo").st_gid, 4'000'000'000U);
    EXPECT_EQ(status_of("sudo").st_mtim.tv_sec, -1);
    EXPECT_EQ(status_of("sudo").st_mtim.tv_nsec, 999'999'999);
    EXPECT_EQ(status_of("tmp").st_mode & 07777, 01777U);
    EXPECT_EQ(status_of("tmp").st_uid, 7U);
    EXPECT_EQ(status_of("tmp").st_mtim.tv_sec, 1'500'000'000);
    EXPECT_EQ(status_of("tmp").st_mtim.tv_nsec, 123'456'789);
    EXPECT_EQ(status_of("link").st_uid, 5U);
    EXPECT_EQ(status_of("link").st_mtim.tv_nsec, 77);
}

TEST_F(LayerExtractorTest, SetsAttributesButNotThoseOfOverlayfs) {
    // cap_net_raw=ep, as setcap writes it.
    const std::string capability(
        "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00\x00\x00\x00",
        20);
    TarBuilder tar;
    tar.add(
        {.name = "ping",
         .mode = 0755,
         .uid = 3,
         .xattrs =
             {{"security.capability", capability},
              {"user.note", "hello"},
              {"trusted.overlay.redirect", "/etc/shadow"},
              {"trusted.overlay.metacopy", ""}}},
        "x");
    tree_of(tar);
    char value[64];
    std::string path = layer() + "/ping";
    EXPECT_EQ(getxattr(path.c_str(), "security.capability", value, sizeof value), 20);
    EXPECT_EQ(getxattr(path.c_str(), "user.note", value, sizeof value), 5);
    EXPECT_EQ(getxattr(path.c_str(), "trusted.overlay.redirect", value, sizeof value), -1);
    EXPECT_EQ(getxattr(path.c_str(), "trusted.overlay.metacopy", value, sizeof value), -1);
}

TEST_F(LayerExtractorTest, TurnsWhiteoutsIntoOverlayForm) {
    TarBuilder tar;
    tar.directory("a").file("a/.wh.gone", "").directory("b").file("b/.wh..wh..opq", "");
    tar.file("b/kept", "x").file("b/.wh..wh.plnk", "AUFS's own");
    EXPECT_EQ(tree_of(tar), "d 0755 0:0 a\nw a/gone\nd 0755 0:0 b\no b\nf 0644 0:0 b/kept = x\n");
}

TEST_F(LayerExtractorTest, MakesADirectoryOpaqueThatReplacesAWhiteout) {
    TarBuilder tar;
    tar.file(".wh.a", "").directory("a").file("a/x", "1");
    tar.directory("b").file("b/y", "2").file(".wh.b", "");
    tar.file(".wh.c", "").file("c/z", "3");
    EXPECT_EQ(
        tree_of(tar),
        "d 0755 0:0 a\no a\nf 0644 0:0 a/x = 1\nd 0755 0:0 b\no b\nf 0644 0:0 b/y = 2\n"
        "d 0755 0:0 c\no c\nf 0644 0:0 c/z = 3\n");
}

TEST_F(LayerExtractorTest, LetsTheLastEntryOfANameWin) {
    TarBuilder tar;
    tar.file("a", "first").file("a", "second");
    tar.directory("b").file("b/inner", "x").file("b", "a file now");
    tar.file("c", "x").directory("c").file("c/inner", "y");
    tar.directory("d", 0700).file("d/inner", "z").directory("d", 0711);
    EXPECT_EQ(
        tree_of(tar),
        "f 0644 0:0 a = second\nf 0644 0:0 b = a file now\nd 0755 0:0 c\n"
        "f 0644 0:0 c/inner = y\nd 0711 0:0 d\nf 0644 0:0 d/inner = z\n");
}

TEST_F(LayerExtractorTest, MakesMissingParentsAndNamesThem) {
    TarBuilder tar;
    tar.file("usr/lib/x", "1").directory("usr", 0700);
    EXPECT_EQ(tree_of(tar), "d 0700 0:0 usr\nd 0755 0:0 usr/lib\nf 0644 0:0 usr/lib/x = 1\n");
    EXPECT_THAT(implied_, ::testing::ElementsAre("usr/lib"));
}

TEST_F(LayerExtractorTest, TakesTheRootsModeFromItsEntry) {
    TarBuilder tar;
    tar.directory("./", 0711).file("./a", "x").file("/b", "absolute").file("c/../d", "y");
    EXPECT_EQ(tree_of(tar), "f 0644 0:0 a = x\nf 0644 0:0 b = absolute\nf 0644 0:0 d = y\n");
    EXPECT_EQ(status_of(".").st_mode & 07777, 0711U);
}

TEST_F(LayerExtractorTest, KeepsNamesThatAreNotUtf8OrLong) {
    std::string odd = "caf\xe9\n\x01";
    std::string longest(255, 'n');
    TarBuilder tar;
    tar.file(odd, "1").file(longest + "/" + longest + "/" + longest, "2");
    tree_of(tar);
    EXPECT_TRUE(exists(layer() + "/" + odd));
    EXPECT_TRUE(exists(layer() + "/" + longest + "/" + longest + "/" + longest));
}

TEST_F(LayerExtractorTest, RefusesWhatNoFormTakes) {
    for (const testing::RefusedLayer& refused : testing::refused_layers()) {
        SCOPED_TRACE(refused.why);
        TarBuilder tar;
        refused.fill(tar);
        expect_refused(tar);
        testing::run_shell("rm -r " + layer() + " && mkdir " + layer());
    }
}

// CVE-2014-6407 and its kin: a link out, then a write through it.
TEST_F(LayerExtractorTest, WritesThroughLinksOnlyInsideTheLayer) {
    TarBuilder tar;
    tar.symlink("up", "../..").file("up/outside", "evil");
    tar.symlink("absolute", directory_.path());
    tar.file("absolute/outside", "evil");
    // The first stays below the root; the second leads to a directory that is not in the layer.
    expect_refused(tar);
    EXPECT_EQ(read_file(layer() + "/outside").value(), "evil");
}

TEST_F(LayerExtractorTest, FollowsLinksOfItsOwnLayer) {
    TarBuilder tar;
    tar.directory("usr").directory("usr/lib").symlink("lib", "usr/lib").symlink("lib64", "/lib");
    tar.file("lib/a", "1").file("lib64/b", "2");
    EXPECT_EQ(
        tree_of(tar),
        "l lib -> usr/lib\nl lib64 -> /lib\nd 0755 0:0 usr\nd 0755 0:0 usr/lib\n"
        "f 0644 0:0 usr/lib/a = 1\nf 0644 0:0 usr/lib/b = 2\n");
}

TEST_F(LayerExtractorTest, ForgetsAPathWhoseDirectoryBecameALink) {
    TarBuilder tar;
    tar.directory("a").file("a/x", "1").directory("b").symlink("a", "b").file("a/y", "2");
    EXPECT_EQ(tree_of(tar), "l a -> b\nd 0755 0:0 b\nf 0644 0:0 b/y = 2\n");
}

TEST_F(LayerExtractorTest, ReplacesALinkInsteadOfWritingThroughIt) {
    TarBuilder tar;
    tar.symlink("file", outside()).file("file", "mine");
    tar.symlink("directory", directory_.path()).directory("directory", 0700);
    EXPECT_EQ(tree_of(tar), "d 0700 0:0 directory\nf 0644 0:0 file = mine\n");
}

TEST_F(LayerExtractorTest, RefusesHardLinksToWhatIsBesideTheLayer) {
    TarBuilder absolute;
    absolute.hard_link("link", outside());
    expect_refused(absolute);
    TarBuilder through_link;
    through_link.symlink("out", directory_.path()).hard_link("link", "out/outside");
    expect_refused(through_link);
}

TEST_F(LayerExtractorTest, LinksToASymbolicLinkItself) {
    TarBuilder tar;
    tar.symlink("out", outside()).hard_link("copy", "out");
    EXPECT_EQ(tree_of(tar), "l copy -> " + outside() + "\nh out == copy\n");
}

TEST_F(LayerExtractorTest, KeepsAFileThatIsLinkedToItself) {
    TarBuilder tar;
    tar.file("a", "x").hard_link("a", "a");
    EXPECT_EQ(tree_of(tar), "f 0644 0:0 a = x\n");
}

TEST_F(LayerExtractorTest, StopsAtItsLimits) {
    TarBuilder many;
    many.file("a", "").file("b", "").file("c", "");
    Result<void> extracted = extract(many.finish(), {.entries = 2});
    EXPECT_EQ(extracted.error().kind(), ErrorKind::ResourceExhausted);
    TarBuilder large;
    large.file("d", "12345").file("e", "12345");
    extracted = extract(large.finish(), {.bytes = 9});
    EXPECT_EQ(extracted.error().kind(), ErrorKind::ResourceExhausted);
}

// An entry of four kilobytes may name two thousand directories, each with all that leads to it.
TEST_F(LayerExtractorTest, StopsAtTheNamesOfDirectories) {
    TarBuilder tar;
    for (int i = 0; i < 3; ++i) {
        std::string path = std::to_string(i);
        for (int depth = 0; depth < 30; ++depth) {
            path += "/a";
        }
        tar.file(path + "/f", "");
    }
    const std::string bytes = tar.finish();
    Result<void> refused = extract(bytes, {.directory_names = 1000});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::ResourceExhausted);
    EXPECT_EQ(
        refused.error().message(), "layer has directories with names of more than 1000 bytes");
    EXPECT_TRUE(extract(bytes, {.directory_names = 10'000}).ok());

    const TemporaryDirectory elsewhere = TemporaryDirectory::create("/tmp").value();
    StringSource source(bytes);
    LayerFile image =
        LayerFile::write(elsewhere.path() + "/image", source, {.text_bytes = 1000}).value();
    EXPECT_FALSE(image.fits());
}

TEST_F(LayerExtractorTest, ReportsATruncatedArchive) {
    TarBuilder tar;
    tar.file("a", std::string(5000, 'x'));
    std::string bytes = tar.finish();
    bytes.resize(3000);
    EXPECT_EQ(extract(std::move(bytes)).error().kind(), ErrorKind::DataLoss);
}

TEST_F(LayerExtractorTest, LeavesHolesWhereThereAreOnlyZeros) {
    TarBuilder tar;
    std::string data = "head" + std::string(8U << 20, '\0') + "tail" + std::string(3U << 20, '\0');
    tar.file("sparse", data);
    tree_of(tar);
    struct stat status = status_of("sparse");
    EXPECT_EQ(status.st_size, static_cast<off_t>(data.size()));
    EXPECT_LT(status.st_blocks * 512, 4 << 20);
    EXPECT_EQ(read_file(layer() + "/sparse").value(), data);
}

TEST_F(LayerExtractorTest, ReplacesAVeryDeepDirectory) {
    TarBuilder tar;
    std::string deep = "a";
    for (int i = 0; i < 120; ++i) {
        deep += "/d";
    }
    tar.file(deep + "/x", "1").file("a", "shallow");
    EXPECT_EQ(tree_of(tar), "f 0644 0:0 a = shallow\n");
}

TEST(CleanEntryName, IsRelativeAndWithoutDots) {
    EXPECT_EQ(clean_entry_name("./a//b/../c/").value(), "a/c");
    EXPECT_EQ(clean_entry_name("/").value(), "");
    EXPECT_EQ(clean_entry_name("a/..").value(), "");
    EXPECT_EQ(clean_entry_name("..a/...").value(), "..a/...");
    EXPECT_FALSE(clean_entry_name("a/../..").ok());
    EXPECT_FALSE(clean_entry_name(std::string(256, 'n')).ok());
}

} // namespace
} // namespace berth::store
