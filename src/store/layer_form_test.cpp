// SPDX-License-Identifier: Apache-2.0
// A layer is the same whichever form it has: every tar here is unpacked into a directory and made
// into an EROFS image, and the two trees are compared, attribute by attribute.
#include "store/layer_testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::store {
namespace {

using tar::EntryType;
using testing::full_listing;
using testing::run_shell;
using testing::TarBuilder;

class LayerForms : public testing::LayerFormsTest {
  protected:
    // Both forms refuse, and for the same kind of reason.
    void expect_refused(TarBuilder& tar) {
        const std::string bytes = tar.finish();
        Result<void> extracted = extract(bytes);
        Result<LayerFile> layer = index(bytes);
        ASSERT_FALSE(extracted.ok());
        ASSERT_FALSE(layer.ok());
        EXPECT_EQ(layer.error().kind(), extracted.error().kind()) << layer.error().message();
    }
};

TEST_P(LayerForms, AgreeAboutEveryKindOfEntry) {
    TarBuilder tar;
    tar.directory("./", 0711).directory("etc", 0750).file("etc/passwd", "root", 04755);
    tar.symlink("etc/link", "passwd").hard_link("hard", "etc/passwd");
    tar.hard_link("link-to-link", "etc/link");
    tar.add({.name = "fifo", .type = EntryType::Fifo, .mode = 0600, .mtime = 5});
    tar.add(
        {.name = "null",
         .type = EntryType::CharacterDevice,
         .mode = 0666,
         .device_major = 1,
         .device_minor = 3});
    tar.add(
        {.name = "disk",
         .type = EntryType::BlockDevice,
         .mode = 0660,
         .device_major = 259,
         .device_minor = 70'000});
    tar.file("empty", "");
    expect_same(tar);
}

TEST_P(LayerForms, AgreeAboutOwnersAndTimes) {
    TarBuilder tar;
    tar.add({.name = "a", .mode = 06755, .uid = 100'000, .gid = 4'000'000'000U, .mtime = -1}, "x");
    tar.add(
        {.name = "b", .uid = UINT32_MAX, .gid = UINT32_MAX, .mtime = 1'500'000'000'123'456'789});
    tar.add(
        {.name = "tmp",
         .type = EntryType::Directory,
         .mode = 01777,
         .uid = 7,
         .gid = 8,
         .mtime = 4'500'000'000'000'000'001});
    tar.file("tmp/later", "changes the directory's time");
    tar.add(
        {.name = "link",
         .link_name = "x",
         .type = EntryType::SymbolicLink,
         .uid = 70'000,
         .gid = 6,
         .mtime = 77});
    expect_same(tar);
}

std::string access_list(std::initializer_list<std::array<unsigned, 3>> entries) {
    std::string value("\x02\x00\x00\x00", 4);
    for (const auto& [tag, permissions, id] : entries) {
        value += static_cast<char>(tag);
        value += '\0';
        value += static_cast<char>(permissions);
        value += '\0';
        for (unsigned shift = 0; shift < 32; shift += 8) {
            value += static_cast<char>(id >> shift & 0xFFU);
        }
    }
    return value;
}

TEST_P(LayerForms, AgreeAboutAttributes) {
    const std::string capability(
        "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
    const std::string large =
        access_list({{1, 6, ~0U}, {2, 7, 1000}, {4, 0, ~0U}, {16, 7, ~0U}, {32, 4, ~0U}});
    const std::string small = access_list({{1, 7, ~0U}, {4, 1, ~0U}, {32, 0, ~0U}});
    TarBuilder tar;
    tar.add(
        {.name = "ping",
         .mode = 0755,
         .xattrs =
             {{"security.capability", capability},
              {"user.note", "hello"},
              {"user.empty", ""},
              {"user." + std::string(250, 'n'), std::string(1000, 'v')},
              {"trusted.thing", std::string("a\0b", 3)},
              {"unknown.space", "passed over"},
              {"trusted.overlay.redirect", "/etc/shadow"}}},
        "x");
    tar.add({.name = "acl", .xattrs = {{"system.posix_acl_access", large}}});
    tar.add({.name = "mode", .xattrs = {{"system.posix_acl_access", small}}});
    tar.add(
        {.name = "dir",
         .type = EntryType::Directory,
         .mode = 0755,
         .xattrs = {{"system.posix_acl_default", large}, {"user.a", "1"}}});
    tar.add(
        {.name = "dir", .type = EntryType::Directory, .mode = 0700, .xattrs = {{"user.b", "2"}}});
    tar.add(
        {.name = "link",
         .link_name = "x",
         .type = EntryType::SymbolicLink,
         .xattrs = {{"user.not", "on links"}, {"trusted.but", "this"}}});
    expect_same(tar);
}

TEST_P(LayerForms, AgreeAboutWhiteouts) {
    TarBuilder tar;
    tar.directory("a").file("a/.wh.gone", "").file("a/.wh..wh..opq", "").file("a/new", "1");
    tar.file("b/.wh.c", "").file("b/c/d", "a directory where a whiteout was");
    tar.directory("kept").file(".wh.kept", "").file("file", "stays").file(".wh.file", "");
    tar.file(".wh.again", "")
        .directory("again")
        .file(".wh..wh.plnk", "")
        .file("x/.wh..wh..opq", "");
    tar.add({.name = "made", .type = EntryType::CharacterDevice, .mode = 0});
    EXPECT_THAT(expect_same(tar, "b/c"), ::testing::HasSubstr("trusted.overlay.opaque"));
}

TEST_P(LayerForms, AgreeWhoIsLastAmongDuplicates) {
    TarBuilder tar;
    tar.file("a", "first").hard_link("b", "a").file("a", "second");
    tar.directory("d").file("d/x", "1").file("d/y", "2").file("d", "now a file");
    tar.file("e", "a file").directory("e").file("e/z", "3");
    tar.symlink("s", "e").file("s/through", "the link").symlink("abs", "/e/./../e");
    tar.file("abs/too", "4").hard_link("h", "s/through").hard_link("h", "s/through");
    tar.directory("n/./m/../m//").file("/absolute", "5").file("n/../n/m/up", "6");
    tar.symlink("up", "../../../e").file("up/out", "stays inside");
    expect_same(tar);
}

TEST_P(LayerForms, AgreeAboutImpliedDirectories) {
    TarBuilder tar;
    tar.file("a/b/c/d", "1").directory("a/b", 0700).file("p/q", "2").file("p", "3");
    expect_same(tar);
}

TEST_P(LayerForms, AgreeAboutLongAndStrangeNames) {
    TarBuilder tar;
    std::string deep;
    for (int i = 0; i < 15; ++i) {
        deep += std::string(254, static_cast<char>('a' + i)) + "/";
    }
    tar.file(deep + "end", "deep")
        .file("\xff\xfe bad utf8\x01\n", "1")
        .file("-", "2")
        .file("!", "3");
    tar.file("...", "4").file(" ", "5").file("\xc3\xa4", "6").file(std::string(255, 'z'), "7");
    tar.symlink("long", std::string(4095, 't')).symlink("middle", std::string(450, 'm'));
    tar.symlink("short", std::string(300, 's'));
    expect_same(tar);
}

TEST_P(LayerForms, AgreeAboutLargeDirectories) {
    TarBuilder tar;
    for (int i = 0; i < 3'000; ++i) {
        tar.file("many/" + std::to_string(i * 7919 % 3'011), std::to_string(i));
    }
    for (int i = 0; i < 70; ++i) { // around the sizes where a directory leaves its inode
        for (int j = 0; j < i; ++j) {
            tar.file("d" + std::to_string(i) + "/" + std::string(11, 'n') + std::to_string(j), "");
        }
    }
    const std::string listing = expect_same(tar);
    EXPECT_GT(std::ranges::count(listing, '\n'), 3'000);
    EXPECT_TRUE(exists(path("mount/many/1897")));
    EXPECT_FALSE(exists(path("mount/many/3012")));
}

TEST_P(LayerForms, AgreeAboutLargeFiles) {
    TarBuilder tar;
    std::string noise(3 << 20, '\0');
    std::uint32_t state = 1;
    for (char& c : noise) {
        c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    }
    const std::string zeros(1 << 20, '\0');
    tar.file("noise", noise).file("zeros", zeros).file("mixed", zeros + noise + zeros + "x");
    for (const std::size_t size : {1U, 511U, 512U, 513U, 4095U, 4096U, 4097U}) {
        tar.file("f" + std::to_string(size), std::string_view(noise).substr(0, size));
    }
    expect_same(tar);
}

TEST_P(LayerForms, DoNotReadATerabyteOfHoles) {
    constexpr off_t size = 1LL << 40;
    const std::string archive = path("archive");
    ASSERT_NO_FATAL_FAILURE(run_shell(
        "cd " + directory_.path() + "; truncate -s 1T huge; printf mid | dd of=huge bs=1 " +
        "seek=549755813888 conv=notrunc status=none; tar --sparse -cf archive huge; rm huge"));
    const std::string tar = read_file(archive, 64U << 20).value();
    ASSERT_TRUE(extract(tar).ok());

    struct stat status {};

    ASSERT_EQ(stat(path("tree/huge").c_str(), &status), 0);
    EXPECT_EQ(status.st_size, size);
    EXPECT_LT(status.st_blocks * 512, 64 << 10);
    Result<LayerFile> layer = index(tar);
    ASSERT_TRUE(layer.ok());
    EXPECT_EQ(layer->size(), static_cast<std::uint64_t>(size));
}

TEST_P(LayerForms, AgreeAboutWhatGnuTarMakes) {
    const std::string made = path("made");
    const std::string script =
        "mkdir " + made + "; cd " + made +
        "; truncate -s 5G huge; printf end >>huge; printf mid | dd of=huge bs=1 seek=4294967296 "
        "conv=notrunc status=none; truncate -s 1M holes; head -c 300000 /dev/urandom | dd of=holes "
        "bs=4096 seek=20 conv=notrunc status=none; truncate -s 12345 all-hole; for i in $(seq 40); "
        "do dd if=/dev/urandom of=many-pieces bs=4096 count=1 seek=$((i*5)) conv=notrunc "
        "status=none; done; ln holes again; ln -s holes link; mkfifo fifo; touch -d @1.000000001 "
        "fifo; chown 70000:3000000000 all-hole";
    ASSERT_NO_FATAL_FAILURE(run_shell(script));
    ASSERT_EQ(setxattr((made + "/holes").c_str(), "user.x", "y", 1, 0), 0);
    ASSERT_EQ(setxattr(made.c_str(), "trusted.t", "z", 1, 0), 0);
    for (const std::string format :
         {"gnu",
          "posix --sparse-version=0.0 --xattrs --xattrs-include='*'",
          "posix --sparse-version=0.1 --xattrs --xattrs-include='*'",
          "posix --sparse-version=1.0 --xattrs --xattrs-include='*'"}) {
        SCOPED_TRACE(format);
        const std::string archive = path("archive");
        ASSERT_NO_FATAL_FAILURE(run_shell(
            "tar -C " + made + " --sparse --format=" + format + " -cf " + archive + " ."));
        const std::string listing = expect_same(read_file(archive, 64U << 20).value());
        EXPECT_EQ(listing, full_listing(path("tree"), {""}));
        if (format != "gnu") { // which has neither attributes nor fractions of seconds
            EXPECT_EQ(listing, full_listing(made, {""}));
        }
        clear();
    }
}

// Pieces that begin anywhere are copied to where an image can address them.
TEST_P(LayerForms, AgreeAboutHolesBetweenBlocks) {
    StringSink sink;
    tar::Writer writer(sink);
    const std::string data = "0123456789";
    const std::string map = "GNU.sparse.map=3,4,70000,2,1099511600000,4\n";
    std::string records;
    for (const std::string& record :
         {std::string("GNU.sparse.major=0\n"),
          std::string("GNU.sparse.minor=1\n"),
          std::string("GNU.sparse.size=1099511600009\n"),
          map}) {
        std::size_t length = record.size() + 3;
        length += std::to_string(length).size() - 2;
        records += std::to_string(length) + " " + record;
    }
    tar::Header header{.name = "x", .size = records.size()};
    ASSERT_TRUE(writer.write_header(header).ok());
    ASSERT_TRUE(writer.write(records).ok());
    ASSERT_TRUE(writer.write_header({.name = "sparse", .size = data.size()}).ok());
    ASSERT_TRUE(writer.write(data).ok());
    ASSERT_TRUE(writer.finish().ok());
    std::string bytes = sink.take();
    bytes[156] = 'x'; // the first entry is the second one's header
    int sum = 8 * ' ';
    for (int i = 0; i < 512; ++i) {
        sum += i >= 148 && i < 156 ? 0
                                   : static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    }
    for (std::size_t i = 0; i < 6; ++i, sum /= 8) {
        bytes[153 - i] = static_cast<char>('0' + sum % 8);
    }
    Result<LayerFile> layer = index(bytes);
    ASSERT_TRUE(layer.ok()) << layer.error().message();
    ASSERT_TRUE(layer->fits());
    ASSERT_TRUE(mount_erofs(path("layer.erofs"), path("mount"), GetParam()).ok());
    UniqueFd file = open_file(path("mount/sparse"), O_RDONLY).value();
    EXPECT_EQ(lseek(file.get(), 0, SEEK_END), 1'099'511'600'009);
    const auto at = [&](off_t offset, std::size_t count) {
        std::string got(count, '?');
        EXPECT_EQ(pread(file.get(), got.data(), count, offset), static_cast<ssize_t>(count));
        return got;
    };
    EXPECT_EQ(
        at(0, 9),
        std::string(
            "\0\0\0"
            "0123"
            "\0\0",
            9));
    EXPECT_EQ(
        at(69'999, 4),
        std::string(
            "\0"
            "45"
            "\0",
            4));
    EXPECT_EQ(
        at(1'099'511'599'999, 10),
        std::string(
            "\0"
            "6789"
            "\0\0\0\0\0",
            10));

    struct stat status {};

    ASSERT_EQ(stat(path("layer.erofs").c_str(), &status), 0);
    EXPECT_LT(status.st_blocks * 512, 1 << 20);
}

TEST_P(LayerForms, RefuseTheSame) {
    for (const testing::RefusedLayer& layer : testing::refused_layers()) {
        SCOPED_TRACE(layer.why);
        TarBuilder tar;
        layer.fill(tar);
        expect_refused(tar);
        clear();
    }
}

INSTANTIATE_TEST_SUITE_P(
    Methods,
    LayerForms,
    ::testing::Values(ErofsMethod::File, ErofsMethod::Loop),
    [](const auto& method) { return std::string(to_string(method.param)); });

} // namespace
} // namespace berth::store
