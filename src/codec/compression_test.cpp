// SPDX-License-Identifier: Apache-2.0
// Every format both ways, with libarchive's filters as the other side.
#include "codec/compression.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <random>

namespace berth::compression {

namespace {

// Some of it repeats and some does not, over several buffers of every codec.
std::string sample(std::size_t size) {
    std::mt19937 random(42);
    std::string bytes;
    while (bytes.size() < size) {
        bytes += "the same words again and again ";
        bytes += static_cast<char>(random());
        bytes += static_cast<char>(random());
    }
    bytes.resize(size);
    return bytes;
}

std::string compress(std::string_view bytes, Format format, std::size_t piece = 1U << 20) {
    StringSink sink;
    auto compressor = Compressor::create(sink, format).value();
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
        EXPECT_TRUE(compressor->write(bytes.substr(0, piece)).ok());
    }
    EXPECT_TRUE(compressor->finish().ok());
    return sink.take();
}

Result<std::string> decompress(const std::string& bytes) {
    StringSource source(bytes);
    auto decompressor = TRY(Decompressor::create(source));
    return read_to_end(*decompressor, 64U << 20);
}

// A member of the format by libarchive.
std::string oracle_compress(const std::string& bytes, int (*filter)(archive*)) {
    archive* out = archive_write_new();
    archive_write_set_format_raw(out);
    EXPECT_EQ(filter(out), ARCHIVE_OK);
    archive_write_set_bytes_per_block(out, 0);
    std::string result(bytes.size() * 2 + 4096, '\0');
    std::size_t used = 0;
    archive_write_open_memory(out, result.data(), result.size(), &used);
    archive_entry* entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_pathname(entry, "data");
    EXPECT_EQ(archive_write_header(out, entry), ARCHIVE_OK);
    EXPECT_EQ(
        archive_write_data(out, bytes.data(), bytes.size()), static_cast<la_ssize_t>(bytes.size()));
    archive_entry_free(entry);
    EXPECT_EQ(archive_write_close(out), ARCHIVE_OK);
    archive_write_free(out);
    result.resize(used);
    return result;
}

std::string oracle_decompress(const std::string& bytes) {
    archive* in = archive_read_new();
    archive_read_support_format_raw(in);
    archive_read_support_filter_all(in);
    EXPECT_EQ(archive_read_open_memory(in, bytes.data(), bytes.size()), ARCHIVE_OK);
    archive_entry* entry = nullptr;
    EXPECT_EQ(archive_read_next_header(in, &entry), ARCHIVE_OK);
    std::string result;
    std::string buffer(65'536, '\0');
    for (la_ssize_t count = 1; count > 0;) {
        count = archive_read_data(in, buffer.data(), buffer.size());
        EXPECT_GE(count, 0) << archive_error_string(in);
        result.append(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    }
    archive_read_free(in);
    return result;
}

struct OracleCase {
    Format format;
    int (*filter)(archive*);
};

const OracleCase oracle_cases[] = {
    {Format::Gzip, archive_write_add_filter_gzip},
    {Format::Zstd, archive_write_add_filter_zstd},
    {Format::Bzip2, archive_write_add_filter_bzip2},
    {Format::Xz, archive_write_add_filter_xz}};

} // namespace

TEST(Compression, RoundTripsWhatItWrites) {
    for (const Format format : {Format::None, Format::Gzip, Format::Zstd}) {
        for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1'000'003}}) {
            const std::string bytes = sample(size);
            auto result = decompress(compress(bytes, format));
            ASSERT_TRUE(result.ok()) << result.error().message();
            EXPECT_EQ(*result, bytes) << to_string(format) << " " << size;
        }
    }
}

TEST(Compression, LibarchiveReadsWhatItWrites) {
    const std::string bytes = sample(3'000'000);
    for (const Format format : {Format::Gzip, Format::Zstd}) {
        const std::string compressed = compress(bytes, format);
        EXPECT_LT(compressed.size(), bytes.size() / 2);
        EXPECT_EQ(oracle_decompress(compressed), bytes);
    }
}

TEST(Compression, OutputDoesNotDependOnThePieces) {
    const std::string bytes = sample(700'000);
    for (const Format format : {Format::Gzip, Format::Zstd}) {
        EXPECT_EQ(compress(bytes, format, 1000), compress(bytes, format, 333'333));
    }
}

TEST(Decompressor, ReadsEveryFormatOfLibarchive) {
    const std::string bytes = sample(1'500'000);
    for (const auto& [format, filter] : oracle_cases) {
        const std::string compressed = oracle_compress(bytes, filter);
        EXPECT_EQ(detect(compressed), format);
        auto result = decompress(compressed);
        ASSERT_TRUE(result.ok()) << result.error().message();
        EXPECT_TRUE(*result == bytes) << to_string(format);
    }
}

TEST(Decompressor, ReadsAllMembers) {
    const std::string first = sample(300'000);
    for (const auto& [format, filter] : oracle_cases) {
        auto result =
            decompress(oracle_compress(first, filter) + oracle_compress("second", filter));
        ASSERT_TRUE(result.ok()) << to_string(format) << result.error().message();
        EXPECT_TRUE(*result == first + "second") << to_string(format);
    }
}

TEST(Decompressor, ReportsTruncationAndDamage) {
    const std::string bytes = sample(200'000);
    for (const auto& [format, filter] : oracle_cases) {
        const std::string compressed = oracle_compress(bytes, filter);
        for (const std::size_t length :
             {std::size_t{8}, compressed.size() / 2, compressed.size() - 1}) {
            auto result = decompress(compressed.substr(0, length));
            ASSERT_FALSE(result.ok()) << to_string(format) << " " << length;
            EXPECT_EQ(result.error().kind(), ErrorKind::DataLoss);
        }
        // libarchive's zstd frames carry no checksum, ours do.
        std::string damaged = format == Format::Zstd ? compress(bytes, Format::Zstd) : compressed;
        damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
        EXPECT_FALSE(decompress(damaged).ok()) << to_string(format);
    }
}

TEST(Decompressor, AllowsZerosAfterGzipAndNothingElse) {
    const std::string compressed = compress("text", Format::Gzip);
    EXPECT_EQ(*decompress(compressed + std::string(700'000, '\0')), "text");
    EXPECT_FALSE(decompress(compressed + "garbage").ok());
    EXPECT_FALSE(decompress(compressed + std::string(200'000, '\0') + "x").ok());
}

TEST(Decompressor, PassesPlainBytes) {
    for (const char* text : {"", "x", "plain text that is longer than the magic"}) {
        EXPECT_EQ(*decompress(text), text);
    }
}

std::string outcome(const std::string& bytes, DecompressionLimits limits) {
    StringSource source(bytes);
    auto decompressor = Decompressor::create(source, limits).value();
    const auto all = read_to_end(*decompressor, 64U << 20);
    EXPECT_TRUE(all.ok() || all.error().kind() == ErrorKind::ResourceExhausted);
    return all.ok() ? "" : all.error().message();
}

TEST(Decompressor, BoundsWhatABombMayBecome) {
    const std::string zeros = compress(std::string(8U << 20, '\0'), Format::Gzip);
    const std::string words = compress(sample(8U << 20), Format::Gzip);
    const DecompressionLimits limits{.ratio = 100, .ratio_floor = 1U << 20};
    EXPECT_EQ(
        outcome(zeros, limits),
        "gzip stream grows to more than 100 times its size, which max-layer-ratio does not allow "
        "above 1048576 bytes");
    EXPECT_EQ(outcome(words, limits), "");
    EXPECT_EQ(outcome(zeros, {.ratio = 100, .ratio_floor = 8U << 20}), "");
    EXPECT_EQ(outcome(zeros, {.ratio = 0, .ratio_floor = 0}), "");
    EXPECT_EQ(
        outcome(compress(std::string(8U << 20, '\0'), Format::Zstd), limits).substr(0, 11),
        "zstd stream");
    const std::string too_large =
        "uncompressed it has more than the 5000000 bytes that max-layer-size allows";
    EXPECT_EQ(outcome(words, {.bytes = 5'000'000}), too_large);
    EXPECT_EQ(outcome(sample(8U << 20), {.bytes = 5'000'000}), too_large);
    EXPECT_EQ(outcome(sample(5'000'000), {.bytes = 5'000'000}), "");
}

TEST(Decompressor, ReadsGzipHeadersWithNameAndExtra) {
    const std::string plain = compress("text", Format::Gzip);
    const std::string header("\x1f\x8b\x08\x0c\0\0\0\0\0\xff\x03\0abcname\0", 20);
    EXPECT_EQ(*decompress(header + plain.substr(10)), "text");
}

TEST(Compressor, RefusesFormatsThatItCannotWrite) {
    StringSink sink;
    auto compressor = Compressor::create(sink, Format::Xz);
    ASSERT_FALSE(compressor.ok());
    EXPECT_EQ(compressor.error().kind(), ErrorKind::NotImplemented);
}

} // namespace berth::compression
