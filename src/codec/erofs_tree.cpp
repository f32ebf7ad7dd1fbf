// SPDX-License-Identifier: Apache-2.0
// Entries are found by a hash of directory and name, and listed through a chain per directory.
// A removed entry stays in both, without its node, until its name comes again.
#include "codec/erofs_tree.h"

#include "base/random.h"
#include "base/verify.h"

#include <algorithm>
#include <cstring>

namespace berth::erofs {

namespace {

// Names are a stranger's, who could choose a million that collide if the hash were the same every
// time: each product depends on the key, and so does what is folded into it.
std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

} // namespace

Tree::Tree(const Metadata& root_metadata)
    : slots_(1024, no_entry)
    , key_{random_u64() | 1, random_u64() | 1} {
    attribute_sets_.push_back(&attribute_index_.try_emplace({}, 0).first->first);
    nodes_.emplace_back();
    nodes_[root].first_entry = no_entry;
    set_metadata(root, root_metadata);
}

std::size_t Tree::hash_of(NodeId directory, std::string_view name) const {
    std::uint64_t hash = key_[0] ^ directory;
    while (!name.empty()) {
        std::uint64_t piece = 0;
        const std::size_t count = std::min(name.size(), sizeof piece);
        std::memcpy(&piece, name.data(), count);
        hash = fold(hash ^ piece, key_[1] ^ name.size());
        name.remove_prefix(count);
    }
    return static_cast<std::size_t>(fold(hash ^ key_[1], key_[0]));
}

std::uint32_t Tree::lookup(NodeId directory, std::string_view name) const {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash_of(directory, name) & mask;; at = (at + 1) & mask) {
        const std::uint32_t index = slots_[at];
        if (index == no_entry ||
            (entries_[index].parent == directory && this->name(entries_[index]) == name)) {
            return index;
        }
    }
}

std::uint32_t* Tree::slot_of(NodeId directory, std::string_view name) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash_of(directory, name) & mask;
    while (slots_[at] != no_entry) {
        at = (at + 1) & mask;
    }
    return &slots_[at];
}

void Tree::grow() {
    slots_.assign(slots_.size() * 2, no_entry);
    for (std::uint32_t i = 0; i < entries_.size(); ++i) {
        *slot_of(entries_[i].parent, name(entries_[i])) = i;
    }
}

std::optional<NodeId> Tree::find(NodeId directory, std::string_view name) const {
    const std::uint32_t index = lookup(directory, name);
    if (index == no_entry || entries_[index].node == none) {
        return std::nullopt;
    }
    return entries_[index].node;
}

void Tree::link(NodeId directory, std::string_view name, NodeId node) {
    VERIFY(!name.empty() && name.size() <= 255);
    if (const std::uint32_t index = lookup(directory, name); index != no_entry) {
        VERIFY(entries_[index].node == none);
        entries_[index].node = node;
        return;
    }
    if (entries_.size() * 2 >= slots_.size()) {
        grow();
    }
    const auto index = static_cast<std::uint32_t>(entries_.size());
    *slot_of(directory, name) = index;
    entries_.push_back(
        {.name_offset = static_cast<std::uint32_t>(texts_.size()),
         .parent = directory,
         .node = node,
         .next = nodes_[directory].first_entry,
         .name_length = static_cast<std::uint8_t>(name.size())});
    texts_.append(name);
    VERIFY(texts_.size() < UINT32_MAX);
    nodes_[directory].first_entry = index;
}

NodeId Tree::add(NodeId directory, std::string_view name, const Metadata& metadata) {
    const auto id = static_cast<NodeId>(nodes_.size());
    nodes_.emplace_back();
    nodes_[id].first_entry = no_entry;
    nodes_[id].parent = directory;
    set_metadata(id, metadata);
    link(directory, name, id);
    return id;
}

void Tree::remove(NodeId directory, std::string_view name) {
    if (const std::uint32_t index = lookup(directory, name); index != no_entry) {
        entries_[index].node = none;
    }
}

void Tree::set_metadata(NodeId id, const Metadata& metadata) {
    Node& target = nodes_[id];
    target.mode = metadata.mode;
    target.uid = metadata.uid;
    target.gid = metadata.gid;
    target.mtime = metadata.mtime;
    const auto [found, added] = attribute_index_.try_emplace(
        metadata.attributes, static_cast<std::uint32_t>(attribute_sets_.size()));
    if (added) {
        attribute_sets_.push_back(&found->first);
    }
    target.attributes = found->second;
}

void Tree::set_link_target(NodeId id, std::string_view target) {
    nodes_[id].data = texts_.size();
    nodes_[id].size = target.size();
    texts_.append(target);
    VERIFY(texts_.size() < UINT32_MAX);
}

std::string_view Tree::link_target(NodeId id) const {
    return std::string_view(texts_).substr(nodes_[id].data, nodes_[id].size);
}

void Tree::set_sparse_data(NodeId id, SparseData data) {
    nodes_[id].sparse = true;
    nodes_[id].data = sparse_.size();
    sparse_.push_back(std::move(data));
}

void Tree::sort(NodeId directory) {
    std::vector<std::uint32_t> present;
    for (std::uint32_t i = nodes_[directory].first_entry; i != no_entry; i = entries_[i].next) {
        if (entries_[i].node != none) {
            present.push_back(i);
        }
    }
    std::sort(present.begin(), present.end(), [this](std::uint32_t a, std::uint32_t b) {
        return name(entries_[a]) < name(entries_[b]);
    });
    std::uint32_t* link_before = &nodes_[directory].first_entry;
    for (const std::uint32_t index : present) {
        *link_before = index;
        link_before = &entries_[index].next;
    }
    *link_before = no_entry;
}

} // namespace berth::erofs
