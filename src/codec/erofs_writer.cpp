// SPDX-License-Identifier: Apache-2.0
// Three passes over the tree, breadth first, so that a directory's inodes lie together: the first
// decides where everything goes, the second writes the inodes with what stands right behind them,
// the third the blocks of large directories and long links.
#include "codec/erofs_writer.h"

#include "codec/erofs_format.h"

#include <algorithm>

namespace berth::erofs {

namespace {

using format::block_bytes;
using format::bytes_of;
using format::Layout;
using format::slot_bytes;

constexpr std::size_t buffer_bytes = 256U << 10;
// Slot 0 would be inode number 0, which readdir's callers take for a deleted entry.
constexpr std::uint32_t first_slot = 2;
// Larger tails go into blocks of their own: moving an inode to where its tail fits into one block
// would waste more.
constexpr std::uint64_t inline_limit = 384;
constexpr std::uint64_t attributes_limit =
    std::uint64_t{4} * 65534 + sizeof(format::AttributesHeader);

std::uint64_t align(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

Error too_large(std::string_view what) {
    return {ErrorKind::ResourceExhausted, std::string(what) + " does not fit into an EROFS image"};
}

// Gathers small writes, counts and fills up with zeros.
class Output {
  public:
    explicit Output(ByteSink& sink)
        : sink_(sink) {}

    std::uint64_t position() const { return written_ + buffer_.size(); }

    Result<void> write(std::string_view bytes) {
        buffer_.append(bytes);
        return buffer_.size() < buffer_bytes ? ok() : flush();
    }

    Result<void> fill_to(std::uint64_t position_wanted) {
        buffer_.append(static_cast<std::size_t>(position_wanted - position()), '\0');
        return ok();
    }

    Result<void> flush() {
        TRY(sink_.write(buffer_));
        written_ += buffer_.size();
        buffer_.clear();
        return ok();
    }

  private:
    ByteSink& sink_;
    std::string buffer_;
    std::uint64_t written_ = 0;
};

struct Place {
    std::uint32_t slot = 0;
    std::uint32_t links = 0;
    std::uint32_t block = 0; // of what has blocks of its own, from the first such one
    Layout layout = Layout::Plain;
};

// Goes through a directory's entries, dots included, in the order of their bytes.
class DirectoryEntries {
  public:
    DirectoryEntries(const Tree& tree, NodeId directory)
        : tree_(tree)
        , directory_(directory)
        , entry_(tree.first_entry(directory)) {}

    struct Item {
        std::string_view name;
        NodeId node;
    };

    std::optional<Item> next() {
        static constexpr std::array<std::string_view, 2> dots{".", ".."};
        if (dots_ < dots.size() && (entry_ == nullptr || dots[dots_] < tree_.name(*entry_))) {
            const NodeId node = dots_ == 0 ? directory_ : tree_.node(directory_).parent;
            return Item{dots[dots_++], node};
        }
        if (entry_ == nullptr) {
            return std::nullopt;
        }
        const Item item{tree_.name(*entry_), entry_->node};
        entry_ = tree_.next(*entry_);
        return item;
    }

  private:
    const Tree& tree_;
    NodeId directory_;
    const Tree::Entry* entry_;
    std::size_t dots_ = 0;
};

constexpr std::uint64_t entry_size(std::string_view name) {
    return sizeof(format::DirectoryEntry) + name.size();
}

std::uint64_t directory_size(const Tree& tree, NodeId directory) {
    std::uint64_t full = 0;
    std::uint64_t used = 0;
    DirectoryEntries entries(tree, directory);
    while (const auto item = entries.next()) {
        if (used + entry_size(item->name) > block_bytes) {
            full += block_bytes;
            used = 0;
        }
        used += entry_size(item->name);
    }
    return full + used;
}

std::uint8_t directory_type(const Node& node) {
    switch (node.mode & S_IFMT) {
    case S_IFREG:
        return format::type_file;
    case S_IFDIR:
        return format::type_directory;
    case S_IFCHR:
        return format::type_character_device;
    case S_IFBLK:
        return format::type_block_device;
    case S_IFIFO:
        return format::type_fifo;
    case S_IFLNK:
        return format::type_link;
    default:
        return format::type_unknown;
    }
}

// The attributes behind an inode; empty for none.
Result<std::string> attribute_bytes(const Attributes& attributes) {
    if (attributes.empty()) {
        return std::string();
    }
    std::string bytes(sizeof(format::AttributesHeader), '\0');
    for (const auto& [name, value] : attributes) {
        const auto* prefix =
            std::ranges::find_if(format::attribute_prefixes, [&name = name](const auto& each) {
                return name.starts_with(each.text);
            });
        const std::string_view rest = prefix == format::attribute_prefixes.end()
                                          ? std::string_view()
                                          : std::string_view(name).substr(prefix->text.size());
        if (prefix == format::attribute_prefixes.end() || rest.empty() != prefix->whole) {
            return invalid_argument("an EROFS image has no attributes named \"" + name + "\"");
        }
        if (rest.size() > UINT8_MAX || value.size() > UINT16_MAX) {
            return too_large("the attribute " + name);
        }
        bytes.append(bytes_of(format::Attribute{
            .name_length = static_cast<std::uint8_t>(rest.size()),
            .prefix = prefix->index,
            .value_size = static_cast<std::uint16_t>(value.size())}));
        bytes.append(rest).append(value);
        bytes.resize(align(bytes.size(), sizeof(format::Attribute)));
    }
    if (bytes.size() > attributes_limit) {
        return too_large("what a file has in attributes");
    }
    return bytes;
}

class MetadataWriter {
  public:
    MetadataWriter(Tree& tree, ByteSink& sink, const ImageOptions& options)
        : tree_(tree)
        , output_(sink)
        , options_(options)
        , places_(tree.node_count()) {}

    Result<std::string> write() {
        TRY(place_all());
        for (const NodeId id : order_) {
            TRY(write_inode(id));
        }
        TRY(output_.fill_to(blocks_offset_));
        for (const NodeId id : order_) {
            TRY(write_blocks(id));
        }
        TRY(output_.fill_to(align(output_.position(), block_bytes)));
        TRY(output_.flush());
        return super_block();
    }

  private:
    Result<void> place_all() {
        std::uint64_t end = std::uint64_t{first_slot} * slot_bytes;
        order_.push_back(Tree::root);
        places_[Tree::root].links = 1; // for itself; its parent is itself too
        for (std::size_t i = 0; i < order_.size(); ++i) {
            const NodeId id = order_[i];
            if (tree_.node(id).is(S_IFDIR)) {
                visit_directory(id);
            }
            TRY(place(id, end));
        }
        blocks_offset_ = align(end, block_bytes);
        const std::uint64_t first_block = (options_.metadata_offset + blocks_offset_) / block_bytes;
        if (first_block + own_blocks_ >= format::hole) {
            return too_large("the layer");
        }
        for (Place& place : places_) {
            place.block += static_cast<std::uint32_t>(first_block);
        }
        return ok();
    }

    void visit_directory(NodeId id) {
        tree_.sort(id);
        ++places_[id].links; // its own dot
        for (const auto* entry = tree_.first_entry(id); entry != nullptr;
             entry = tree_.next(*entry)) {
            if (places_[entry->node].links++ == 0) {
                order_.push_back(entry->node);
            }
            if (tree_.node(entry->node).is(S_IFDIR)) {
                ++places_[id].links; // the dots of the one below
            }
        }
        tree_.node(id).size = directory_size(tree_, id);
    }

    Result<void> place(NodeId id, std::uint64_t& end) {
        const Node& node = tree_.node(id);
        Place& place = places_[id];
        const std::string attributes = TRY(attribute_bytes(tree_.attributes(id)));
        const std::uint64_t head = sizeof(format::Inode) + attributes.size();
        std::uint64_t start = align(end, slot_bytes);
        end = start + head;
        if (node.is(S_IFDIR) || node.is(S_IFLNK)) {
            const std::uint64_t moved = align(align(end, block_bytes) - head, slot_bytes);
            if (node.size <= inline_limit && fits(end, node.size)) {
                place.layout = Layout::Inline;
            } else if (node.size <= inline_limit && fits(moved + head, node.size)) {
                place.layout = Layout::Inline;
                start = moved;
            }
            if (place.layout == Layout::Inline) {
                end = start + head + node.size;
            } else {
                place.block = static_cast<std::uint32_t>(own_blocks_);
                own_blocks_ += align(node.size, block_bytes) / block_bytes;
            }
        } else if (node.sparse) {
            place.layout = Layout::ChunkBased;
            chunked_ = true;
            end = align(end, sizeof(std::uint32_t)) +
                  tree_.sparse_data(id).blocks.size() * sizeof(std::uint32_t);
        }
        place.slot = static_cast<std::uint32_t>(start / slot_bytes);
        return start / slot_bytes <= UINT32_MAX ? ok() : too_large("the layer");
    }

    static bool fits(std::uint64_t start, std::uint64_t size) {
        return start % block_bytes + size <= block_bytes;
    }

    Result<std::uint32_t> address_of(NodeId id) const {
        const Node& node = tree_.node(id);
        switch (node.mode & S_IFMT) {
        case S_IFREG:
            if (node.sparse) {
                return tree_.sparse_data(id).chunk_bits - format::block_bits;
            }
            if ((node.data + node.size) / block_bytes >= format::hole) {
                return too_large("the layer");
            }
            return static_cast<std::uint32_t>(node.data / block_bytes);
        case S_IFCHR:
        case S_IFBLK:
            return static_cast<std::uint32_t>(node.data);
        case S_IFDIR:
        case S_IFLNK:
            return places_[id].layout == Layout::Plain ? places_[id].block : format::hole;
        default:
            return std::uint32_t{0};
        }
    }

    Result<void> write_inode(NodeId id) {
        constexpr std::int64_t second = 1'000'000'000;
        const Node& node = tree_.node(id);
        const Place& place = places_[id];
        const std::string attributes = TRY(attribute_bytes(tree_.attributes(id)));
        const std::int64_t rest = (node.mtime % second + second) % second;
        format::Inode inode{};
        inode.format = static_cast<std::uint16_t>(1U | static_cast<unsigned>(place.layout) << 1U);
        inode.attribute_count = static_cast<std::uint16_t>(
            attributes.empty() ? 0
                               : 1 + (attributes.size() - sizeof(format::AttributesHeader)) / 4);
        inode.mode = node.mode;
        inode.size = node.is(S_IFREG) || node.is(S_IFDIR) || node.is(S_IFLNK) ? node.size : 0;
        inode.address = TRY(address_of(id));
        inode.serial = place.slot;
        inode.uid = node.uid;
        inode.gid = node.gid;
        inode.mtime = static_cast<std::uint64_t>((node.mtime - rest) / second);
        inode.mtime_nanoseconds = static_cast<std::uint32_t>(rest);
        inode.links = place.links;
        TRY(output_.fill_to(std::uint64_t{place.slot} * slot_bytes));
        TRY(output_.write(bytes_of(inode)));
        TRY(output_.write(attributes));
        if (place.layout == Layout::ChunkBased) {
            TRY(output_.fill_to(align(output_.position(), sizeof(std::uint32_t))));
            for (const std::uint32_t block : tree_.sparse_data(id).blocks) {
                TRY(output_.write(bytes_of(block)));
            }
        }
        return place.layout == Layout::Inline ? write_content(id) : ok();
    }

    Result<void> write_blocks(NodeId id) {
        const Node& node = tree_.node(id);
        if (places_[id].layout != Layout::Plain || !(node.is(S_IFDIR) || node.is(S_IFLNK))) {
            return ok();
        }
        TRY(output_.fill_to(align(output_.position(), block_bytes)));
        return write_content(id);
    }

    Result<void> write_content(NodeId id) {
        return tree_.node(id).is(S_IFLNK) ? output_.write(tree_.link_target(id))
                                          : write_directory(id);
    }

    Result<void> write_directory(NodeId id) {
        std::vector<DirectoryEntries::Item> block;
        std::uint64_t used = 0;
        DirectoryEntries entries(tree_, id);
        while (const auto item = entries.next()) {
            if (used + entry_size(item->name) > block_bytes) {
                TRY(write_directory_block(block));
                TRY(output_.fill_to(output_.position() + block_bytes - used));
                block.clear();
                used = 0;
            }
            used += entry_size(item->name);
            block.push_back(*item);
        }
        return write_directory_block(block);
    }

    Result<void> write_directory_block(const std::vector<DirectoryEntries::Item>& block) {
        std::size_t name_offset = block.size() * sizeof(format::DirectoryEntry);
        std::string names;
        for (const auto& item : block) {
            TRY(output_.write(bytes_of(format::DirectoryEntry{
                .number_low = places_[item.node].slot,
                .number_high = 0,
                .name_offset = static_cast<std::uint16_t>(name_offset + names.size()),
                .type = directory_type(tree_.node(item.node)),
                .reserved = 0})));
            names.append(item.name);
        }
        return output_.write(names);
    }

    std::string super_block() const {
        format::SuperBlock super{};
        super.magic = format::magic;
        super.feature_compatible = format::compatible_mtime;
        super.feature_incompatible = chunked_ ? format::incompatible_chunked_file : 0;
        super.block_bits = format::block_bits;
        super.root_number = first_slot;
        super.inodes = order_.size();
        super.metadata_block = static_cast<std::uint32_t>(options_.metadata_offset / block_bytes);
        super.blocks = static_cast<std::uint32_t>(
            (options_.metadata_offset + output_.position()) / block_bytes);
        super.uuid = options_.uuid;
        return std::string(bytes_of(super));
    }

    Tree& tree_;
    Output output_;
    const ImageOptions& options_;
    std::vector<Place> places_;
    std::vector<NodeId> order_;
    std::uint64_t blocks_offset_ = 0;
    std::uint64_t own_blocks_ = 0;
    bool chunked_ = false;
};

} // namespace

Result<std::string> write_metadata(Tree& tree, ByteSink& sink, const ImageOptions& options) {
    return MetadataWriter(tree, sink, options).write();
}

} // namespace berth::erofs
