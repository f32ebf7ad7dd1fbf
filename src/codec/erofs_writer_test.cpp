// SPDX-License-Identifier: Apache-2.0
// The bytes of images against the specification; store/layer_form_test.cpp mounts them.
#include "codec/erofs_format.h"
#include "codec/erofs_writer.h"

#include <gtest/gtest.h>

#include <cstring>

namespace berth::erofs {
namespace {

constexpr std::uint64_t metadata_offset = 4096;

template <class T>
T at(const std::string& bytes, std::size_t offset) {
    T value{};
    EXPECT_LE(offset + sizeof value, bytes.size());
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

struct Image {
    std::string metadata;
    format::SuperBlock super;

    format::Inode inode(std::uint32_t slot) const {
        return at<format::Inode>(metadata, std::size_t{slot} * format::slot_bytes);
    }

    // Where a directory's or link's bytes are in the metadata.
    std::size_t content_of(std::uint32_t slot) const {
        const format::Inode node = inode(slot);
        const std::size_t attributes =
            node.attribute_count == 0 ? 0 : 12 + 4 * (node.attribute_count - std::size_t{1});
        return (node.format >> 1U) == static_cast<unsigned>(format::Layout::Inline)
                   ? std::size_t{slot} * format::slot_bytes + sizeof node + attributes
                   : std::size_t{node.address} * format::block_bytes - metadata_offset;
    }

    // Name to slot, in the directory's order.
    std::vector<std::pair<std::string, std::uint32_t>> entries(std::uint32_t slot) const {
        std::vector<std::pair<std::string, std::uint32_t>> found;
        const std::size_t size = inode(slot).size;
        for (std::size_t block = 0; block < size; block += format::block_bytes) {
            const std::size_t start = content_of(slot) + block;
            const std::size_t length = std::min<std::size_t>(size - block, format::block_bytes);
            const std::size_t count = at<format::DirectoryEntry>(metadata, start).name_offset /
                                      sizeof(format::DirectoryEntry);
            for (std::size_t i = 0; i < count; ++i) {
                const auto entry = at<format::DirectoryEntry>(
                    metadata, start + i * sizeof(format::DirectoryEntry));
                const std::size_t end =
                    i + 1 == count ? length
                                   : at<format::DirectoryEntry>(
                                         metadata, start + (i + 1) * sizeof(format::DirectoryEntry))
                                         .name_offset;
                std::string name =
                    metadata.substr(start + entry.name_offset, end - entry.name_offset);
                name.resize(std::min(name.find('\0'), name.size()));
                found.emplace_back(std::move(name), entry.number_low);
            }
        }
        return found;
    }
};

Image write(Tree& tree) {
    StringSink sink;
    Result<std::string> super = write_metadata(tree, sink, {.metadata_offset = metadata_offset});
    EXPECT_TRUE(super.ok()) << super.error().message();
    return {sink.take(), at<format::SuperBlock>(*super, 0)};
}

Metadata with_mode(unsigned mode) {
    return {.mode = static_cast<std::uint16_t>(mode), .attributes = {}};
}

TEST(ErofsWriter, WritesAnEmptyRoot) {
    Tree tree(with_mode(S_IFDIR | 0755));
    const Image image = write(tree);
    EXPECT_EQ(image.super.magic, 0xE0F5E1E2U);
    EXPECT_EQ(image.super.block_bits, 9);
    EXPECT_EQ(image.super.inodes, 1U);
    EXPECT_EQ(image.super.metadata_block, metadata_offset / 512);
    EXPECT_EQ(image.metadata.size() % 512, 0U);
    EXPECT_EQ(image.super.blocks, (metadata_offset + image.metadata.size()) / 512);
    const std::uint32_t root = image.super.root_number;
    EXPECT_EQ(image.inode(root).links, 2U);
    const auto entries = image.entries(root);
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_EQ(entries[0], std::pair(std::string("."), root));
    EXPECT_EQ(entries[1], std::pair(std::string(".."), root));
}

TEST(ErofsWriter, SortsNamesByTheirBytesDotsAmongThem) {
    Tree tree(with_mode(S_IFDIR | 0755));
    std::vector<std::string> names{".", ".."};
    for (int i = 0; i < 500; ++i) {
        names.push_back("name" + std::to_string(i * 7));
    }
    for (const char* name : {"!", "-", "...", ".a", "\xff", "\x80z", "a", "aa", "Z"}) {
        names.emplace_back(name);
    }
    for (std::size_t i = 2; i < names.size(); ++i) {
        tree.add(Tree::root, names[i], with_mode(S_IFIFO | 0644));
    }
    std::sort(names.begin(), names.end());
    const Image image = write(tree);
    std::vector<std::string> written;
    for (const auto& [name, slot] : image.entries(image.super.root_number)) {
        written.push_back(name);
    }
    EXPECT_EQ(written, names);
}

TEST(ErofsWriter, KeepsInlineContentWithinOneBlock) {
    for (std::size_t length = 1; length < 600; ++length) {
        Tree tree(with_mode(S_IFDIR | 0755));
        for (int i = 0; i < 12; ++i) {
            Metadata metadata = with_mode(S_IFLNK | 0777);
            metadata.attributes["trusted.x"] = std::string(static_cast<std::size_t>(i) * 37, 'v');
            const NodeId link = tree.add(Tree::root, "l" + std::to_string(i), metadata);
            tree.set_link_target(link, std::string(length, 't'));
        }
        const Image image = write(tree);
        for (const auto& [name, slot] : image.entries(image.super.root_number)) {
            if (!name.starts_with('l')) {
                continue;
            }
            const std::size_t start = image.content_of(slot);
            ASSERT_EQ(image.metadata.substr(start, length), std::string(length, 't')) << length;
            if (image.inode(slot).format >> 1U == static_cast<unsigned>(format::Layout::Inline)) {
                ASSERT_EQ(start / 512, (start + length - 1) / 512) << length;
            }
        }
    }
}

TEST(ErofsWriter, CountsLinksAndDropsWhatWasRemoved) {
    Tree tree(with_mode(S_IFDIR | 0755));
    const NodeId directory = tree.add(Tree::root, "d", with_mode(S_IFDIR | 0700));
    const NodeId file = tree.add(directory, "f", with_mode(S_IFREG | 0600));
    tree.link(Tree::root, "again", file);
    tree.add(Tree::root, "gone", with_mode(S_IFDIR | 0700));
    tree.remove(Tree::root, "gone");
    Image image = write(tree);
    EXPECT_EQ(image.super.inodes, 3U);
    const auto entries = image.entries(image.super.root_number);
    ASSERT_EQ(entries.size(), 4U);
    EXPECT_EQ(entries[2].first, "again");
    EXPECT_EQ(image.inode(entries[2].second).links, 2U);
    EXPECT_EQ(image.entries(entries[3].second)[2], std::pair(std::string("f"), entries[2].second));
    EXPECT_EQ(image.inode(image.super.root_number).links, 3U);
    EXPECT_FALSE(tree.find(Tree::root, "gone").has_value());
}

TEST(ErofsWriter, WritesTimesBeforeTheEpoch) {
    Tree tree({.mode = S_IFDIR | 0755, .mtime = -1, .attributes = {}});
    const Image image = write(tree);
    const format::Inode root = image.inode(image.super.root_number);
    EXPECT_EQ(static_cast<std::int64_t>(root.mtime), -1);
    EXPECT_EQ(root.mtime_nanoseconds, 999'999'999U);
}

TEST(ErofsWriter, RefusesWhatAnImageCannotHold) {
    const auto kind_of = [](const Metadata& metadata, std::uint64_t data) {
        Tree tree(with_mode(S_IFDIR | 0755));
        const NodeId file = tree.add(Tree::root, "f", metadata);
        tree.node(file).data = data;
        StringSink sink;
        return write_metadata(tree, sink, {.metadata_offset = metadata_offset}).error().kind();
    };
    Metadata file = with_mode(S_IFREG | 0644);
    EXPECT_EQ(kind_of(file, 2ULL << 40), ErrorKind::ResourceExhausted);
    file.attributes["user.large"] = std::string(65536, 'x');
    EXPECT_EQ(kind_of(file, 0), ErrorKind::ResourceExhausted);
    file.attributes.clear();
    for (int i = 0; i < 5; ++i) {
        file.attributes["user." + std::to_string(i)] = std::string(60'000, 'x');
    }
    EXPECT_EQ(kind_of(file, 0), ErrorKind::ResourceExhausted);
    file.attributes = {{"system.other", "x"}};
    EXPECT_EQ(kind_of(file, 0), ErrorKind::InvalidArgument);
}

TEST(ErofsTree, FindsAmongManyNames) {
    Tree tree(with_mode(S_IFDIR | 0755));
    std::vector<NodeId> directories{Tree::root};
    for (int i = 0; i < 50; ++i) {
        directories.push_back(tree.add(directories.back(), "deeper", with_mode(S_IFDIR | 0755)));
    }
    for (int i = 0; i < 20'000; ++i) {
        tree.add(
            directories[static_cast<std::size_t>(i) % directories.size()],
            "n" + std::to_string(i),
            with_mode(S_IFIFO | 0644));
    }
    for (int i = 0; i < 20'000; ++i) {
        const std::string name = "n" + std::to_string(i);
        const std::size_t home = static_cast<std::size_t>(i) % directories.size();
        ASSERT_TRUE(tree.find(directories[home], name).has_value()) << i;
        ASSERT_FALSE(tree.find(directories[(home + 1) % directories.size()], name).has_value());
    }
}

} // namespace
} // namespace berth::erofs
