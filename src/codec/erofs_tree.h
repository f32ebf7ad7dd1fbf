// SPDX-License-Identifier: Apache-2.0
// A file system's tree in memory, without the files' data: about 100 bytes an entry, since a layer
// may have a million.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>

namespace berth::erofs {

using NodeId = std::uint32_t;
using Attributes = std::map<std::string, std::string>; // "user.note" -> bytes

struct Metadata {
    std::uint16_t mode = 0; // with the type: S_IFREG | 0644
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::int64_t mtime = 0; // nanoseconds since the epoch
    Attributes attributes;
};

// A file with holes: its pieces of 1 << chunk_bits bytes each.
struct SparseData {
    unsigned chunk_bits = 0;
    // Where each is in the image, in blocks; format::hole for none.
    std::vector<std::uint32_t> blocks;
};

struct Node {
    std::int64_t mtime = 0;
    std::uint64_t size = 0; // of a file
    // Where a plain file's data begins in the image (a multiple of the block); its index in
    // sparse_data(); a device's number; a link's target in the texts.
    std::uint64_t data = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint32_t attributes = 0;  // index into attributes()
    std::uint32_t first_entry = 0; // of a directory
    NodeId parent = 0;             // of a directory
    std::uint16_t mode = 0;
    bool sparse = false;

    bool is(mode_t type) const { return (mode & S_IFMT) == type; }
};

// Names point to nodes, as directory entries point to inodes. Ids are never used again.
class Tree {
  public:
    static constexpr NodeId root = 0;

    struct Entry {
        std::uint32_t name_offset;
        NodeId parent;
        NodeId node;        // none: removed
        std::uint32_t next; // in the same directory
        std::uint8_t name_length;
    };

    static constexpr NodeId none = UINT32_MAX;

    // With a root directory.
    explicit Tree(const Metadata& root_metadata);

    Node& node(NodeId id) { return nodes_[id]; }

    const Node& node(NodeId id) const { return nodes_[id]; }

    std::size_t node_count() const { return nodes_.size(); }

    // Removed ones too.
    std::size_t name_count() const { return entries_.size(); }

    std::optional<NodeId> find(NodeId directory, std::string_view name) const;
    // REQUIRES: nothing has this name; at most 255 bytes.
    NodeId add(NodeId directory, std::string_view name, const Metadata& metadata);
    // Another name for a node that is no directory. REQUIRES: nothing has it.
    void link(NodeId directory, std::string_view name, NodeId node);
    // The name, and with a directory's all below it.
    void remove(NodeId directory, std::string_view name);

    void set_metadata(NodeId id, const Metadata& metadata);

    const Attributes& attributes(NodeId id) const {
        return *attribute_sets_[nodes_[id].attributes];
    }

    void set_link_target(NodeId id, std::string_view target);
    std::string_view link_target(NodeId id) const;
    void set_sparse_data(NodeId id, SparseData data);

    const SparseData& sparse_data(NodeId id) const { return sparse_[nodes_[id].data]; }

    // A directory's entries, in byte order of their names after sort(), and none of them removed.
    // Nothing can be added once it was called.
    void sort(NodeId directory);

    const Entry* first_entry(NodeId directory) const {
        return entry(nodes_[directory].first_entry);
    }

    const Entry* next(const Entry& entry_before) const { return entry(entry_before.next); }

    std::string_view name(const Entry& entry) const {
        return std::string_view(texts_).substr(entry.name_offset, entry.name_length);
    }

  private:
    static constexpr std::uint32_t no_entry = UINT32_MAX;

    const Entry* entry(std::uint32_t index) const {
        return index == no_entry ? nullptr : &entries_[index];
    }

    std::size_t hash_of(NodeId directory, std::string_view name) const;
    std::uint32_t* slot_of(NodeId directory, std::string_view name);
    std::uint32_t lookup(NodeId directory, std::string_view name) const;
    void grow();

    std::vector<Node> nodes_;
    std::vector<Entry> entries_;
    // Names and link targets, one after the other.
    std::string texts_;
    // Open addressing over entries_, a power of two, at most half full.
    std::vector<std::uint32_t> slots_;
    std::array<std::uint64_t, 2> key_;
    std::map<Attributes, std::uint32_t> attribute_index_;
    std::vector<const Attributes*> attribute_sets_;
    std::vector<SparseData> sparse_;
};

} // namespace berth::erofs
