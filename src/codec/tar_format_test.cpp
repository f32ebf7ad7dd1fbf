// SPDX-License-Identifier: Apache-2.0
// Numbers and records of headers, and archives made by hand that no writer of today makes.
#include "codec/tar.h"
#include "codec/tar_format.h"
#include "codec/tar_sparse.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <span>

namespace berth::tar::format {

namespace {

Block block_with(Range range, std::string_view text) {
    Block block{};
    text.copy(block.data() + range.offset, range.length);
    return block;
}

std::string seal(Block block) {
    std::string digits = std::to_string(0);
    std::int64_t sum = header_sums(block).unsigned_sum;
    digits.clear();
    for (int i = 0; i < 6; ++i) {
        digits.insert(digits.begin(), static_cast<char>('0' + sum % 8));
        sum /= 8;
    }
    digits += std::string("\0 ", 2);
    digits.copy(block.data() + checksum.offset, checksum.length);
    return {block.data(), block.size()};
}

std::string padded(std::string data) {
    data.resize((data.size() + block_bytes - 1) / block_bytes * block_bytes);
    return data;
}

void put(Block& block, std::size_t offset, std::string_view text) {
    text.copy(block.data() + offset, text.size());
}

std::string special(char flag, const std::string& data) {
    Block block{};
    put(block, 0, "special");
    std::string digits(11, '0');
    std::size_t number = data.size();
    for (std::size_t i = 11; i-- > 0; number /= 8) {
        digits[i] = static_cast<char>('0' + number % 8);
    }
    put(block, size.offset, digits);
    block[type] = flag;
    return seal(block) + padded(data);
}

std::string plain(std::string_view entry_name, char flag = '0') {
    Block block{};
    put(block, 0, entry_name);
    block[type] = flag;
    return seal(block);
}

Result<Header> first(const std::string& bytes, std::string* data = nullptr) {
    StringSource source(bytes);
    Reader reader(source);
    auto header = TRY(reader.next());
    if (!header) {
        return not_found("no entry");
    }
    std::string content = TRY(read_to_end(reader, 1U << 20));
    if (data != nullptr) {
        *data = std::move(content);
    }
    return *header;
}

} // namespace

TEST(TarNumber, ReadsOctalInEveryDress) {
    EXPECT_EQ(*number_field(block_with(mode, "0000644"), mode), 0644);
    EXPECT_EQ(*number_field(block_with(mode, "  644 "), mode), 0644);
    EXPECT_EQ(*number_field(block_with(mode, "77777777"), mode), 077777777);
    EXPECT_EQ(*number_field(block_with(mode, ""), mode), 0);
    EXPECT_FALSE(number_field(block_with(mode, "9"), mode).ok());
    EXPECT_FALSE(number_field(block_with(mode, "-1"), mode).ok());
}

TEST(TarNumber, ReadsBase256) {
    EXPECT_EQ(*number_field(block_with(mode, std::string("\x80\0\0\0\0\0\1\2", 8)), mode), 258);
    EXPECT_EQ(*number_field(block_with(mode, std::string(8, '\xff')), mode), -1);
    EXPECT_EQ(
        *number_field(
            block_with(size, std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)), size),
        std::numeric_limits<std::int64_t>::max());
    EXPECT_FALSE(
        number_field(
            block_with(size, std::string("\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12)), size)
            .ok());
    EXPECT_FALSE(
        number_field(block_with(size, std::string("\x80\1\0\0\0\0\0\0\0\0\0\0", 12)), size).ok());
}

TEST(Pax, ReadsWhatItFormats) {
    const std::map<std::string, std::string> records{
        {"path", std::string(95, 'x')}, {"a", "1\n2=3"}, {"SCHILY.xattr.user.x", ""}};
    PaxRecords parsed;
    ASSERT_TRUE(parse_pax(format_pax(records), 10, parsed).ok());
    EXPECT_EQ(parsed.values, records);
}

TEST(Pax, CountsTheDigitsOfItsOwnLength) {
    for (std::size_t length = 0; length < 1100; ++length) {
        const std::string text = format_pax({{"k", std::string(length, 'v')}});
        EXPECT_EQ(text.substr(0, text.find(' ')), std::to_string(text.size()));
    }
}

TEST(Pax, RejectsDamagedRecords) {
    for (const char* text :
         {"x", "5 a=b", "6 a=b", "7 a=b\n", "3 \n", "5 a\n\n", "0 a=b\n", "4 =\n", "-6 a=b\n"}) {
        PaxRecords records;
        EXPECT_FALSE(parse_pax(text, 10, records).ok()) << text;
    }
    PaxRecords records;
    EXPECT_FALSE(parse_pax(std::string("12 path=a\0b\n", 12), 10, records).ok());
}

TEST(Pax, ConvertsTimes) {
    EXPECT_EQ(*parse_pax_time("1.5"), 1'500'000'000);
    EXPECT_EQ(*parse_pax_time("-1.5"), -1'500'000'000);
    EXPECT_EQ(*parse_pax_time("7"), 7'000'000'000);
    EXPECT_EQ(*parse_pax_time("1.1234567899"), 1'123'456'789);
    EXPECT_EQ(*parse_pax_time("99999999999999"), std::numeric_limits<std::int64_t>::max());
    EXPECT_FALSE(parse_pax_time("").ok());
    EXPECT_FALSE(parse_pax_time("1.x").ok());
    EXPECT_FALSE(parse_pax_time("--1").ok());
    for (const std::int64_t time :
         {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1'000'000'001}}) {
        EXPECT_EQ(*parse_pax_time(format_pax_time(time)), time);
    }
}

TEST(TarReader, AppliesGnuLongNames) {
    const std::string long_name = std::string(150, 'n');
    const std::string long_link = std::string(160, 'l');
    auto header = first(
        special('K', long_link + '\0') + special('L', long_name + '\0') + plain("short", '2'));
    ASSERT_TRUE(header.ok()) << header.error().message();
    EXPECT_EQ(header->name, long_name);
    EXPECT_EQ(header->link_name, long_link);
}

TEST(TarReader, AppliesGlobalRecordsUntilALocalOneOverrides) {
    const std::string global = special('g', format_pax({{"uid", "7"}, {"gid", "8"}}));
    const std::string local = special('x', format_pax({{"uid", "9"}}));
    StringSource source(global + local + plain("a") + plain("b"));
    Reader reader(source);
    auto a = reader.next();
    ASSERT_TRUE(a.ok() && *a);
    EXPECT_EQ((*a)->uid, 9U);
    EXPECT_EQ((*a)->gid, 8U);
    auto b = reader.next();
    ASSERT_TRUE(b.ok() && *b);
    EXPECT_EQ((*b)->uid, 7U);
}

TEST(TarReader, BoundsWhatPaxHeadersLeaveInMemory) {
    const auto header_of = [](char kind, const std::string& key) {
        return special(kind, format_pax({{key, std::string(600, 'v')}}));
    };
    const auto read = [](const std::string& bytes) -> Result<void> {
        StringSource source(bytes);
        Reader reader(source, {.pax_bytes = 1000, .global_bytes = 1000});
        TRY(reader.next());
        return ok();
    };
    for (const char kind : {'x', 'g'}) {
        EXPECT_TRUE(read(header_of(kind, "a") + plain("f")).ok()) << kind;
        const auto two = read(header_of(kind, "a") + header_of(kind, "b") + plain("f"));
        ASSERT_FALSE(two.ok()) << kind;
        EXPECT_EQ(two.error().kind(), ErrorKind::ResourceExhausted) << kind;
    }
}

TEST(TarReader, RejectsAHeaderThatBelongsToNothing) {
    EXPECT_FALSE(first(special('x', format_pax({{"uid", "9"}}))).ok());
    EXPECT_FALSE(first(special('L', "name")).ok());
}

TEST(TarReader, RefusesUnknownTypesByName) {
    auto header = first(plain("volume", 'V'));
    ASSERT_FALSE(header.ok());
    EXPECT_EQ(header.error().kind(), ErrorKind::NotImplemented);
}

TEST(TarReader, TakesAFileWithASlashForADirectory) {
    auto header = first(plain("old/", '\0'));
    ASSERT_TRUE(header.ok());
    EXPECT_EQ(header->type, EntryType::Directory);
    EXPECT_EQ(header->name, "old");
}

TEST(TarReader, ReadsGnuSparseFilesWithExtensions) {
    Block block{};
    put(block, 0, "sparse");
    block[type] = 'S';
    put(block, magic.offset, gnu_magic);
    put(block, size.offset, "00000000012");          // 10 bytes stored in five segments
    put(block, gnu_real_size.offset, "00000000144"); // 100
    std::string data;
    Block extension{};
    for (std::size_t i = 0; i < 5; ++i) {
        const std::string offset = "000000000" + std::string(1, static_cast<char>('0' + i)) + "0";
        const std::string pair = offset + '\0' + "00000000002" + '\0';
        put(i < 4 ? block : extension, i < 4 ? gnu_sparse + i * 24 : 0, pair);
        data += std::string(2, static_cast<char>('a' + i));
    }
    block[gnu_is_extended] = 1;
    const std::string bytes =
        seal(block) + std::string(extension.data(), extension.size()) + padded(data);
    std::string content;
    auto header = first(bytes, &content);
    ASSERT_TRUE(header.ok()) << header.error().message();
    std::string expected(100, '\0');
    for (std::size_t i = 0; i < 5; ++i) {
        expected.replace(i * 8, 2, std::string(2, static_cast<char>('a' + i)));
    }
    EXPECT_EQ(content, expected);
}

TEST(TarReader, ReadsPaxSparseFilesOfTheOldVersions) {
    Block block{};
    put(block, 0, "sparse");
    block[type] = '0';
    put(block, size.offset, "00000000003");
    for (const std::string& records :
         {std::string("22 GNU.sparse.size=10\n"
                      "23 GNU.sparse.offset=4\n"
                      "25 GNU.sparse.numbytes=3\n"),
          std::string("22 GNU.sparse.size=10\n"
                      "22 GNU.sparse.map=4,3\n"
                      "25 GNU.sparse.name=named\n")}) {
        std::string content;
        auto header = first(special('x', records) + seal(block) + padded("abc"), &content);
        ASSERT_TRUE(header.ok()) << header.error().message();
        EXPECT_EQ(content, std::string("\0\0\0\0abc\0\0\0", 10));
    }
}

TEST(TarReader, PassesOverHoles) {
    Block block{};
    put(block, 0, "sparse");
    block[type] = '0';
    put(block, size.offset, "00000000003");
    const std::string records = "22 GNU.sparse.size=10\n22 GNU.sparse.map=4,3\n";
    StringSource source(special('x', records) + seal(block) + padded("abc") + plain("next"));
    Reader reader(source);
    ASSERT_TRUE(reader.next().ok());
    EXPECT_EQ(reader.skip_hole(), 4U);
    EXPECT_EQ(reader.skip_hole(), 0U);
    std::array<char, 8> buffer{};
    EXPECT_EQ(reader.read(std::span(buffer).first(2)).value(), 2U);
    EXPECT_EQ(reader.skip_hole(), 0U);
    EXPECT_EQ(reader.read(buffer).value(), 1U);
    EXPECT_EQ(buffer[0], 'c');
    EXPECT_EQ(reader.skip_hole(), 3U);
    EXPECT_EQ(reader.read(buffer).value(), 0U);
    EXPECT_EQ(reader.next().value()->name, "next");
    EXPECT_EQ(reader.skip_hole(), 0U);
}

TEST(TarSparse, RejectsMapsThatLie) {
    EXPECT_TRUE(sparse::check_map({{0, 2}, {5, 3}}, 8, 5).ok());
    EXPECT_FALSE(sparse::check_map({{0, 2}, {5, 3}}, 7, 5).ok());
    EXPECT_FALSE(sparse::check_map({{0, 2}, {5, 3}}, 8, 6).ok());
    EXPECT_FALSE(sparse::check_map({{5, 3}, {0, 2}}, 8, 5).ok());
    EXPECT_FALSE(sparse::check_map({{0, 2}, {1, 2}}, 8, 4).ok());
    EXPECT_FALSE(sparse::check_map({{~0ULL, 2}}, 8, 2).ok());
    EXPECT_FALSE(sparse::parse_map("1,2,3", 10).ok());
    EXPECT_FALSE(sparse::parse_map("1,2,3,4", 1).ok());
}

} // namespace berth::tar::format
