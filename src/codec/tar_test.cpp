// SPDX-License-Identifier: Apache-2.0
// The reader and the writer against each other, and against libarchive.
#include "codec/tar.h"
#include "codec/tar_format.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <clocale>
#include <functional>

namespace berth::tar {

namespace {

struct Entry {
    Header header;
    std::string data;
};

std::string write_archive(const std::vector<Entry>& entries) {
    StringSink sink;
    Writer writer(sink);
    for (const Entry& entry : entries) {
        EXPECT_TRUE(writer.write_header(entry.header).ok());
        EXPECT_TRUE(writer.write(entry.data).ok());
    }
    EXPECT_TRUE(writer.finish().ok());
    return sink.take();
}

Result<std::vector<Entry>> read_archive(const std::string& bytes, Limits limits = {}) {
    StringSource source(bytes);
    Reader reader(source, limits);
    std::vector<Entry> entries;
    while (auto header = TRY(reader.next())) {
        std::string data = TRY(read_to_end(reader, 64U << 20));
        entries.push_back({std::move(*header), std::move(data)});
    }
    return entries;
}

void expect_same(const Header& a, const Header& b) {
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.link_name, b.link_name);
    EXPECT_EQ(a.type, b.type);
    EXPECT_EQ(a.mode, b.mode);
    EXPECT_EQ(a.uid, b.uid);
    EXPECT_EQ(a.gid, b.gid);
    EXPECT_EQ(a.size, b.size);
    EXPECT_EQ(a.mtime, b.mtime);
    EXPECT_EQ(a.device_major, b.device_major);
    EXPECT_EQ(a.device_minor, b.device_minor);
    EXPECT_EQ(a.user_name, b.user_name);
    EXPECT_EQ(a.group_name, b.group_name);
    EXPECT_EQ(a.xattrs, b.xattrs);
}

Entry file(std::string name, const std::string& data) {
    return {{.name = std::move(name), .size = data.size()}, data};
}

// One of everything that is hard.
std::vector<Entry> difficult_entries() {
    std::vector<Entry> entries;
    entries.push_back({{.name = "dir", .type = EntryType::Directory, .mode = 01777}, ""});
    entries.push_back(file("dir/empty", ""));
    entries.push_back(file("dir/file", std::string(1000, 'x')));
    entries.back().header.uid = 3'000'000'000U;
    entries.back().header.gid = 2'097'152;
    entries.back().header.mtime = 1'700'000'000'123'456'789;
    entries.back().header.mode = 04755;
    entries.back().header.user_name = "somebody";
    entries.push_back(file(std::string(60, 'p') + "/" + std::string(90, 'n'), "prefix"));
    entries.push_back(file("long/" + std::string(200, 'l'), std::string(512, 'y')));
    entries.push_back(file("caf\xc3\xa9", "unicode"));
    entries.push_back(
        {{.name = "link", .link_name = std::string(150, 't'), .type = EntryType::SymbolicLink},
         ""});
    entries.push_back({{.name = "hard", .link_name = "dir/file", .type = EntryType::HardLink}, ""});
    entries.push_back(
        {{.name = "null",
          .type = EntryType::CharacterDevice,
          .mode = 0666,
          .device_major = 1,
          .device_minor = 1'048'575},
         ""});
    entries.push_back(
        {{.name = "disk", .type = EntryType::BlockDevice, .device_major = 8, .device_minor = 1},
         ""});
    entries.push_back({{.name = "fifo", .type = EntryType::Fifo, .mtime = 5'000'000'000}, ""});
    entries.push_back(file("attributes", "z"));
    entries.back().header.xattrs = {
        {"user.empty", ""},
        {"user.text", "a=b\nc"},
        {"security.capability", std::string("\x01\x00\x00\x02\x00", 5)}};
    return entries;
}

struct FreeArchive {
    void operator()(archive* handle) const { archive_free(handle); }

    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

using WriteFormat = int (*)(archive*);

std::string oracle_write(WriteFormat format, const std::function<void(archive*)>& fill) {
    std::unique_ptr<archive, FreeArchive> out(archive_write_new());
    EXPECT_EQ(format(out.get()), ARCHIVE_OK);
    std::string bytes;
    const auto append = [](archive*, void* target, const void* data, size_t size) -> la_ssize_t {
        static_cast<std::string*>(target)->append(static_cast<const char*>(data), size);
        return static_cast<la_ssize_t>(size);
    };
    EXPECT_EQ(archive_write_open(out.get(), &bytes, nullptr, append, nullptr), ARCHIVE_OK);
    fill(out.get());
    EXPECT_EQ(archive_write_close(out.get()), ARCHIVE_OK);
    return bytes;
}

void oracle_add(
    archive* out, const std::string& name, const std::string& data, la_int64_t uid = 1000) {
    std::unique_ptr<archive_entry, FreeArchive> entry(archive_entry_new());
    archive_entry_copy_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0640);
    archive_entry_set_uid(entry.get(), uid);
    archive_entry_set_mtime(entry.get(), 1'600'000'000, 0);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(data.size()));
    ASSERT_EQ(archive_write_header(out, entry.get()), ARCHIVE_OK) << archive_error_string(out);
    ASSERT_EQ(
        archive_write_data(out, data.data(), data.size()), static_cast<la_ssize_t>(data.size()));
}

} // namespace

TEST(Tar, ReadsWhatItWrites) {
    const auto entries = difficult_entries();
    auto read = read_archive(write_archive(entries));
    ASSERT_TRUE(read.ok()) << read.error().message();
    ASSERT_EQ(read->size(), entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
        SCOPED_TRACE(entries[i].header.name);
        expect_same((*read)[i].header, entries[i].header);
        EXPECT_EQ((*read)[i].data, entries[i].data);
    }
}

TEST(Tar, GivesTheSameBytesForTheSameEntries) {
    EXPECT_EQ(write_archive(difficult_entries()), write_archive(difficult_entries()));
    EXPECT_EQ(write_archive({file("a", "b")}).size(), 4 * 512U);
}

TEST(Tar, LibarchiveReadsWhatItWrites) {
    // libarchive converts names to the locale's encoding.
    ASSERT_NE(setlocale(LC_CTYPE, "C.UTF-8"), nullptr);
    const auto entries = difficult_entries();
    const std::string bytes = write_archive(entries);
    std::unique_ptr<archive, FreeArchive> in(archive_read_new());
    archive_read_support_format_tar(in.get());
    ASSERT_EQ(archive_read_open_memory(in.get(), bytes.data(), bytes.size()), ARCHIVE_OK);
    for (const Entry& expected : entries) {
        SCOPED_TRACE(expected.header.name);
        archive_entry* entry = nullptr;
        ASSERT_EQ(archive_read_next_header(in.get(), &entry), ARCHIVE_OK)
            << archive_error_string(in.get());
        const std::string slash = expected.header.type == EntryType::Directory ? "/" : "";
        EXPECT_EQ(archive_entry_pathname(entry), expected.header.name + slash);
        EXPECT_EQ(archive_entry_perm(entry), expected.header.mode);
        EXPECT_EQ(archive_entry_uid(entry), expected.header.uid);
        EXPECT_EQ(archive_entry_gid(entry), expected.header.gid);
        EXPECT_EQ(
            archive_entry_mtime(entry) * 1'000'000'000 + archive_entry_mtime_nsec(entry),
            expected.header.mtime);
        EXPECT_EQ(
            archive_entry_xattr_count(entry), static_cast<int>(expected.header.xattrs.size()));
        if (expected.header.type == EntryType::SymbolicLink) {
            EXPECT_EQ(archive_entry_symlink(entry), expected.header.link_name);
        }
        std::string data(expected.data.size() + 1, '\0');
        EXPECT_EQ(
            archive_read_data(in.get(), data.data(), data.size()),
            static_cast<la_ssize_t>(expected.data.size()));
        data.resize(expected.data.size());
        EXPECT_EQ(data, expected.data);
    }
    archive_entry* entry = nullptr;
    EXPECT_EQ(archive_read_next_header(in.get(), &entry), ARCHIVE_EOF);
}

TEST(Tar, ReadsEveryFormatOfLibarchive) {
    const std::vector<std::pair<WriteFormat, bool>> formats{
        {archive_write_set_format_pax, true},
        {archive_write_set_format_pax_restricted, true},
        {archive_write_set_format_gnutar, true},
        {archive_write_set_format_v7tar, false},
        {archive_write_set_format_ustar, false}};
    for (const auto& [format, modern] : formats) {
        const std::string long_name = modern ? std::string(300, 'n') : "n";
        const la_int64_t uid = modern ? 5'000'000 : 1000;
        const std::string bytes = oracle_write(format, [&](archive* out) {
            oracle_add(out, "first", std::string(700, 'a'), uid);
            oracle_add(out, "d/" + long_name, "b");
        });
        auto read = read_archive(bytes);
        ASSERT_TRUE(read.ok()) << read.error().message();
        ASSERT_EQ(read->size(), 2U);
        EXPECT_EQ((*read)[0].data, std::string(700, 'a'));
        EXPECT_EQ((*read)[0].header.uid, uid);
        EXPECT_EQ((*read)[0].header.mode, 0640U);
        EXPECT_EQ((*read)[0].header.mtime, 1'600'000'000'000'000'000);
        EXPECT_EQ((*read)[1].header.name, "d/" + long_name);
    }
}

TEST(Tar, ReadsSparseFilesOfPax) {
    const std::string bytes = oracle_write(archive_write_set_format_pax, [](archive* out) {
        std::unique_ptr<archive_entry, FreeArchive> entry(archive_entry_new());
        archive_entry_copy_pathname(entry.get(), "holes");
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        archive_entry_set_perm(entry.get(), 0644);
        archive_entry_set_size(entry.get(), 100'000);
        archive_entry_sparse_add_entry(entry.get(), 4096, 10);
        archive_entry_sparse_add_entry(entry.get(), 65'536, 5);
        ASSERT_EQ(archive_write_header(out, entry.get()), ARCHIVE_OK);
        std::string data(100'000, '\0');
        data.replace(4096, 10, "0123456789");
        data.replace(65'536, 5, "abcde");
        ASSERT_EQ(archive_write_data(out, data.data(), data.size()), 100'000);
        oracle_add(out, "after", "x");
    });
    ASSERT_LT(bytes.size(), 30'000U);
    auto read = read_archive(bytes);
    ASSERT_TRUE(read.ok()) << read.error().message();
    ASSERT_EQ(read->size(), 2U);
    EXPECT_EQ((*read)[0].header.name, "holes");
    EXPECT_EQ((*read)[0].header.size, 100'000U);
    std::string expected(100'000, '\0');
    expected.replace(4096, 10, "0123456789");
    expected.replace(65'536, 5, "abcde");
    EXPECT_EQ((*read)[0].data, expected);
    EXPECT_EQ((*read)[1].data, "x");
}

TEST(Tar, SkipsDataThatNobodyReads) {
    StringSource source(write_archive({file("a", std::string(100'000, 'x')), file("b", "y")}));
    Reader reader(source);
    ASSERT_TRUE(reader.next().ok());
    char buffer[10];
    ASSERT_EQ(*reader.read(buffer), 10U);
    auto second = reader.next();
    ASSERT_TRUE(second.ok() && *second);
    EXPECT_EQ((*second)->name, "b");
    ASSERT_FALSE(reader.next()->has_value());
    ASSERT_FALSE(reader.next()->has_value());
}

TEST(Tar, EndsAtTheEndOfTheSourceToo) {
    std::string bytes = write_archive({file("a", "b")});
    bytes.resize(1024);
    EXPECT_EQ(read_archive(bytes)->size(), 1U);
    bytes.resize(513); // behind the file's only byte
    EXPECT_EQ(read_archive(bytes)->size(), 1U);
    bytes.resize(512);
    EXPECT_FALSE(read_archive(bytes).ok());
    EXPECT_EQ(read_archive("")->size(), 0U);
}

TEST(Tar, RejectsTruncationEverywhereElse) {
    const std::string bytes = write_archive({difficult_entries()[4]});
    for (std::size_t length = 1; length < bytes.size() - 1024; length += 7) {
        auto read = read_archive(bytes.substr(0, length));
        ASSERT_FALSE(read.ok()) << length;
        EXPECT_EQ(read.error().kind(), ErrorKind::DataLoss) << length;
    }
}

TEST(Tar, RejectsAWrongChecksum) {
    std::string bytes = write_archive({file("a", "b")});
    bytes[0] = 'c';
    auto read = read_archive(bytes);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().message(), "invalid tar archive: a header's checksum is wrong");
}

TEST(Tar, KeepsToItsLimits) {
    const auto kind_of = [](const std::vector<Entry>& entries, Limits limits) {
        auto read = read_archive(write_archive(entries), limits);
        return read.ok() ? ErrorKind::Internal : read.error().kind();
    };
    EXPECT_EQ(
        kind_of({file(std::string(300, 'n'), "")}, {.name_bytes = 299}),
        ErrorKind::ResourceExhausted);
    EXPECT_EQ(
        kind_of({file(std::string(300, 'n'), "")}, {.pax_bytes = 100}),
        ErrorKind::ResourceExhausted);
    EXPECT_EQ(
        kind_of({file("a", std::string(300, 'n'))}, {.entry_bytes = 299}),
        ErrorKind::ResourceExhausted);
}

// A raw header block; the writer makes none of these.
std::string block(char type, const std::string& name, std::uint64_t size) {
    format::Block bytes{};
    name.copy(bytes.data(), format::name.length);
    const auto octal = [&](format::Range range, std::uint64_t value) {
        for (std::size_t i = range.length - 1; i-- > 0; value >>= 3U) {
            bytes[range.offset + i] = static_cast<char>('0' + (value & 7U));
        }
    };
    octal(format::mode, 0644);
    octal(format::size, size);
    bytes[format::type] = type;
    format::ustar_magic.copy(bytes.data() + format::magic.offset, format::magic.length);
    octal(
        {format::checksum.offset, 7},
        static_cast<std::uint64_t>(format::header_sums(bytes).unsigned_sum));
    return {bytes.data(), bytes.size()};
}

std::string padded(std::string data) {
    data.resize((data.size() + 511) / 512 * 512);
    return data;
}

std::string pax(const std::map<std::string, std::string>& records) {
    const std::string text = format::format_pax(records);
    return block('x', "pax", text.size()) + padded(text);
}

// Go's archive/tar: nobody else's headers may show where it sees a file's data.
TEST(Tar, TakesDataForDataWhereTheNameEndsWithASlash) {
    const std::string hidden = block('0', "hidden", 0);
    const auto entries =
        read_archive(block('0', "file/", hidden.size()) + hidden + std::string(1024, '\0'));
    ASSERT_TRUE(entries.ok()) << entries.error().message();
    ASSERT_EQ(entries->size(), 1U);
    EXPECT_EQ(entries->front().header.name, "file");
    EXPECT_EQ(entries->front().header.type, EntryType::File);
    EXPECT_EQ(entries->front().data, hidden);
}

TEST(Tar, ALongNameWinsOverOneInAPaxHeader) {
    const std::string long_name = "long";
    const auto entries = read_archive(
        block('L', "././@LongLink", long_name.size()) + padded(long_name) + pax({{"path", "pax"}}) +
        block('0', "name", 0) + std::string(1024, '\0'));
    ASSERT_TRUE(entries.ok()) << entries.error().message();
    EXPECT_EQ(entries->front().header.name, "long");
}

TEST(Tar, RefusesToWriteWhatHasNoForm) {
    StringSink sink;
    Writer writer(sink);
    EXPECT_FALSE(writer.write_header({.name = ""}).ok());
    EXPECT_FALSE(writer.write_header({.name = std::string("a\0b", 3)}).ok());
    EXPECT_FALSE(writer.write_header({.name = "d", .type = EntryType::Directory, .size = 1}).ok());
    ASSERT_TRUE(writer.write_header({.name = "f", .size = 2}).ok());
    EXPECT_FALSE(writer.write("abc").ok());
    ASSERT_TRUE(writer.write("a").ok());
    EXPECT_FALSE(writer.finish().ok());
}

} // namespace berth::tar
