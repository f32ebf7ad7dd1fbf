// SPDX-License-Identifier: Apache-2.0
// The bytes of an EROFS image, as far as we write them.
// https://docs.kernel.org/filesystems/erofs.html
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace berth::erofs::format {

static_assert(std::endian::native == std::endian::little, "the structures are written as they are");

inline constexpr std::uint64_t super_offset = 1024;
inline constexpr std::uint32_t magic = 0xE0F5E1E2;

// The smallest block there is (Linux 6.4), which is tar's: a file's data is addressed where it lies
// in the archive.
inline constexpr unsigned block_bits = 9;
inline constexpr std::uint32_t block_bytes = 1U << block_bits;
// An inode's number is where it begins, counted in these from the start of the metadata.
inline constexpr std::uint32_t slot_bytes = 32;

inline constexpr std::uint32_t compatible_mtime = 0x2; // times are those of modification
inline constexpr std::uint32_t incompatible_chunked_file = 0x4;

struct SuperBlock {
    std::uint32_t magic;
    std::uint32_t checksum;
    std::uint32_t feature_compatible;
    std::uint8_t block_bits;
    std::uint8_t extension_slots;
    std::uint16_t root_number;
    std::uint64_t inodes;
    std::uint64_t build_time;
    std::uint32_t build_time_nanoseconds;
    std::uint32_t blocks;
    std::uint32_t metadata_block;
    std::uint32_t shared_attributes_block;
    std::array<std::uint8_t, 16> uuid;
    std::array<std::uint8_t, 16> volume_name;
    std::uint32_t feature_incompatible;
    std::uint16_t compression_algorithms;
    std::uint16_t extra_devices;
    std::uint16_t device_table_slot;
    std::uint8_t directory_block_bits;
    std::uint8_t attribute_prefixes;
    std::uint32_t attribute_prefix_start;
    std::uint64_t packed_number;
    std::array<std::uint8_t, 24> reserved;
};

static_assert(sizeof(SuperBlock) == 128);

// What follows an inode, and where its data is.
enum class Layout : std::uint16_t {
    Plain = 0,      // in blocks of its own
    Inline = 2,     // the last partial block right behind the inode, within one block
    ChunkBased = 4, // a table of 4-byte block addresses behind the inode
};

// The 64-byte form; the 32-byte one has neither times nor large ids.
struct Inode {
    std::uint16_t format; // bit 0: this form; from bit 1: Layout
    std::uint16_t attribute_count;
    std::uint16_t mode;
    std::uint16_t reserved;
    std::uint64_t size;
    std::uint32_t address; // of the first block; a device's number; the chunks' size
    std::uint32_t serial;
    std::uint32_t uid;
    std::uint32_t gid;
    std::uint64_t mtime;
    std::uint32_t mtime_nanoseconds;
    std::uint32_t links;
    std::array<std::uint8_t, 16> reserved_end;
};

static_assert(sizeof(Inode) == 64);

inline constexpr std::uint32_t hole = 0xFFFFFFFF; // a chunk of zeros

struct AttributesHeader {
    std::uint32_t name_filter;
    std::uint8_t shared_count;
    std::array<std::uint8_t, 7> reserved;
};

static_assert(sizeof(AttributesHeader) == 12);

struct Attribute {
    std::uint8_t name_length; // without the prefix
    std::uint8_t prefix;
    std::uint16_t value_size;
};

static_assert(sizeof(Attribute) == 4);

struct AttributePrefix {
    std::string_view text;
    std::uint8_t index;
    bool whole; // nothing follows it
};

inline constexpr std::array<AttributePrefix, 5> attribute_prefixes{
    {{"user.", 1, false},
     {"system.posix_acl_access", 2, true},
     {"system.posix_acl_default", 3, true},
     {"trusted.", 4, false},
     {"security.", 6, false}}};

// Not the numbers of readdir(3).
inline constexpr std::uint8_t type_unknown = 0;
inline constexpr std::uint8_t type_file = 1;
inline constexpr std::uint8_t type_directory = 2;
inline constexpr std::uint8_t type_character_device = 3;
inline constexpr std::uint8_t type_block_device = 4;
inline constexpr std::uint8_t type_fifo = 5;
inline constexpr std::uint8_t type_link = 7;

// A directory's blocks each begin with these, the names follow.
struct DirectoryEntry {
    std::uint32_t number_low;
    std::uint32_t number_high;
    std::uint16_t name_offset;
    std::uint8_t type; // type_*
    std::uint8_t reserved;
};

static_assert(sizeof(DirectoryEntry) == 12);

inline std::string_view bytes_of(const auto& structure) {
    // SAFETY: the structures above have no padding and no pointers.
    return {reinterpret_cast<const char*>(&structure), sizeof structure};
}

} // namespace berth::erofs::format
