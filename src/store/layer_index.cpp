// SPDX-License-Identifier: Apache-2.0
// Each step mirrors one of the extractor's, with the tree in the place of system calls.
#include "store/layer_index.h"

#include "base/strings.h"
#include "codec/erofs_format.h"
#include "codec/tar_types.h"
#include "store/layer_attributes.h"
#include "store/overlay_form.h"

#include <algorithm>
#include <bit>
#include <climits>

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace berth::store {

namespace {

using erofs::Metadata;
using erofs::NodeId;
using erofs::Tree;

constexpr int links_limit = 40; // as the kernel has it
constexpr std::uint16_t implied_mode = S_IFDIR | 0755;
// How many pieces a file with holes is cut into at most: where its data stays, where it is copied.
constexpr std::uint64_t chunks_in_place = 1U << 18;
constexpr std::uint64_t chunks_copied = 1U << 14;

// -1 leaves the owner as it is (chown(2)): root's.
std::uint32_t owner_of(std::uint32_t id) {
    return id == UINT32_MAX ? 0 : id;
}

Result<Metadata> metadata_of(const tar::Header& header) {
    Metadata metadata;
    const bool link = header.type == tar::EntryType::SymbolicLink;
    metadata.mode = static_cast<std::uint16_t>(
        tar::file_type_of(header.type) | (link ? 0777U : header.mode & 07777U));
    metadata.uid = owner_of(header.uid);
    metadata.gid = owner_of(header.gid);
    metadata.mtime = header.mtime;
    for (const auto& [name, value] : header.xattrs) {
        Result<bool> admitted = admit_attribute(name, value, metadata.mode);
        if (!admitted.ok()) {
            return entry_error(header.name, admitted.error().message());
        }
        if (*admitted) {
            metadata.attributes.emplace(name, value);
        }
    }
    return metadata;
}

// Neighbours as one; none empty.
std::vector<tar::Segment> merged(const std::vector<tar::Segment>& segments) {
    std::vector<tar::Segment> result;
    for (const tar::Segment& segment : segments) {
        if (segment.length == 0) {
            continue;
        }
        if (!result.empty() && result.back().offset + result.back().length == segment.offset) {
            result.back().length += segment.length;
        } else {
            result.push_back(segment);
        }
    }
    return result;
}

// The largest piece that all segments begin and end with, or 0 when there is none of whole blocks.
std::uint64_t common_chunk(
    const std::vector<tar::Segment>& segments, std::uint64_t size, std::uint64_t position) {
    std::uint64_t bits = std::bit_ceil(std::max<std::uint64_t>(size, erofs::format::block_bytes));
    for (const tar::Segment& segment : segments) {
        const std::uint64_t end = segment.offset + segment.length;
        bits |= segment.offset | (end == size ? 0 : end);
        if (position % erofs::format::block_bytes != 0) {
            return 0;
        }
        position += segment.length;
    }
    const std::uint64_t chunk = bits & -bits;
    return chunk >= erofs::format::block_bytes ? chunk : 0;
}

} // namespace

LayerIndex::LayerIndex(IndexLimits limits, std::int64_t now)
    : limits_(limits)
    , now_(now)
    , tree_({.mode = implied_mode, .uid = 0, .gid = 0, .mtime = now, .attributes = {}}) {}

Result<void> LayerIndex::add(
    const tar::Header& header, std::vector<tar::Segment> segments, std::uint64_t position) {
    if (++entries_ > limits_.extraction.entries) {
        return too_many_entries(limits_.extraction);
    }
    if (!fits_) {
        return ok();
    }
    std::string path = TRY(clean_entry_name(header.name));
    auto [parent, name] = split_parent(path);
    texts_ += name.size() + header.link_name.size();
    for (const auto& [attribute, value] : header.xattrs) {
        texts_ += attribute.size() + value.size();
    }
    note_size();
    if (!name.starts_with(whiteout_prefix)) {
        return add_present(header, std::move(segments), position);
    }
    // https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
    if (name == opaque_marker) {
        set_opaque(TRY(directory(parent)));
        return ok();
    }
    if (name.starts_with(whiteout_meta_prefix)) {
        return ok(); // what AUFS kept for itself
    }
    std::string hidden = name.substr(whiteout_prefix.size());
    if (hidden.empty() || hidden == "." || hidden == "..") {
        return entry_error(path, "is a whiteout without a name");
    }
    Place place = TRY(place_of((parent.empty() ? "" : parent + "/") + hidden));
    add_whiteout(place);
    return ok();
}

Result<void> LayerIndex::add_present(
    const tar::Header& header, std::vector<tar::Segment> segments, std::uint64_t position) {
    std::string path = TRY(clean_entry_name(header.name));
    if (header.type == tar::EntryType::Directory) {
        return add_directory(header, path);
    }
    if (path.empty()) {
        return entry_error(header.name, "the layer's root is not a directory");
    }
    Place place = TRY(place_of(path));
    return header.type == tar::EntryType::HardLink
               ? add_hard_link(header, place)
               : add_node(header, place, std::move(segments), position);
}

Result<void> LayerIndex::add_directory(const tar::Header& header, const std::string& path) {
    Metadata metadata = TRY(metadata_of(header));
    NodeId id = Tree::root;
    if (!path.empty()) {
        Place place = TRY(place_of(path));
        std::optional<NodeId> found = tree_.find(place.directory, place.name);
        bool hides_below = false;
        if (found && !tree_.node(*found).is(S_IFDIR)) {
            hides_below = tree_.node(*found).is(S_IFCHR) && tree_.node(*found).data == 0;
            clear_way(place);
            found.reset();
        }
        id = found ? *found
                   : tree_.add(place.directory, place.name, {.mode = S_IFDIR, .attributes = {}});
        if (hides_below) {
            set_opaque(id);
        }
    }
    // What an earlier entry gave it stays, as setting attributes leaves others alone.
    metadata.attributes.insert(tree_.attributes(id).begin(), tree_.attributes(id).end());
    tree_.set_metadata(id, metadata);
    implied_.erase(path);
    return ok();
}

Result<void> LayerIndex::add_hard_link(const tar::Header& header, const Place& place) {
    std::string target = TRY(clean_entry_name(header.link_name));
    auto [target_parent, target_name] = split_parent(target);
    if (target_name.empty()) {
        return entry_error(header.name, "is a hard link to the layer's root");
    }
    const auto find_target = [&, parent = target_parent, name = target_name] {
        const Walk found = walk(parent);
        return found.end == WalkEnd::Directory ? tree_.find(found.node, name) : std::nullopt;
    };
    std::optional<NodeId> node = find_target();
    if (node && tree_.find(place.directory, place.name) == node && !tree_.node(*node).is(S_IFDIR)) {
        return ok(); // the same file already
    }
    clear_way(place);
    node = find_target(); // it may have been below what is gone now
    if (!node || tree_.node(*node).is(S_IFDIR)) {
        return entry_error(
            header.name,
            "is a hard link to \"" + header.link_name + "\", which " +
                (node ? "cannot be linked to" : "is not there"));
    }
    tree_.link(place.directory, place.name, *node);
    return ok();
}

Result<void> LayerIndex::add_node(
    const tar::Header& header,
    const Place& place,
    std::vector<tar::Segment> segments,
    std::uint64_t position) {
    const Metadata metadata = TRY(metadata_of(header));
    const bool link = header.type == tar::EntryType::SymbolicLink;
    if (link && (header.link_name.empty() || header.link_name.size() >= PATH_MAX)) {
        return entry_error(
            header.name,
            header.link_name.empty() ? "is a symbolic link without a target"
                                     : "is a symbolic link with a target of 4,096 bytes or more");
    }
    const dev_t device = makedev(header.device_major, header.device_minor);
    if (device > UINT32_MAX) {
        return entry_error(header.name, "is a device with a number that Linux does not have");
    }
    clear_way(place);
    const NodeId id = tree_.add(place.directory, place.name, metadata);
    if (header.type == tar::EntryType::File) {
        return set_data(id, header, std::move(segments), position);
    }
    if (link) {
        tree_.set_link_target(id, header.link_name);
    } else {
        tree_.node(id).data = device;
    }
    return ok();
}

Result<void> LayerIndex::set_data(
    NodeId node,
    const tar::Header& header,
    std::vector<tar::Segment> segments,
    std::uint64_t position) {
    if (header.size > limits_.extraction.bytes - size_) {
        return too_many_bytes(limits_.extraction);
    }
    size_ += header.size;
    tree_.node(node).size = header.size;
    tree_.node(node).data = position;
    const bool whole =
        segments.size() == 1 && segments[0].offset == 0 && segments[0].length == header.size;
    if (header.size > 0 && !whole) {
        set_scattered_data(node, merged(segments), position);
    }
    return ok();
}

void LayerIndex::set_scattered_data(
    NodeId node, std::vector<tar::Segment> segments, std::uint64_t position) {
    constexpr auto block = erofs::format::block_bytes;
    const std::uint64_t size = tree_.node(node).size;
    std::uint64_t chunk = common_chunk(segments, size, position);
    const bool in_place = chunk != 0 && (size + chunk - 1) / chunk <= chunks_in_place;
    if (!in_place) {
        chunk = std::max<std::uint64_t>(4096, std::bit_ceil(size / chunks_copied + 1));
    }
    const auto bits = static_cast<unsigned>(std::countr_zero(chunk));
    erofs::SparseData data{
        .chunk_bits = bits,
        .blocks = std::vector<std::uint32_t>(
            static_cast<std::size_t>((size + chunk - 1) >> bits), erofs::format::hole)};
    chunks_ += data.blocks.size() + segments.size();
    note_size();
    if (in_place) {
        for (const tar::Segment& segment : segments) {
            for (std::uint64_t at = 0; at < segment.length; at += chunk) {
                data.blocks[static_cast<std::size_t>((segment.offset + at) >> bits)] =
                    static_cast<std::uint32_t>((position + at) / block);
            }
            position += segment.length;
        }
        fits_ = fits_ && position / block < erofs::format::hole;
    } else {
        scattered_.push_back({node, position, std::move(segments), bits});
    }
    tree_.set_sparse_data(node, std::move(data));
}

// What the same layer brings stays; the whiteout hides only what is below. A directory that the
// layer brings beside it is therefore opaque.
void LayerIndex::add_whiteout(const Place& place) {
    const std::optional<NodeId> found = tree_.find(place.directory, place.name);
    if (!found) {
        const NodeId id = tree_.add(
            place.directory, place.name, {.mode = S_IFCHR, .mtime = now_, .attributes = {}});
        tree_.node(id).data = 0;
    } else if (tree_.node(*found).is(S_IFDIR)) {
        set_opaque(*found);
    }
}

void LayerIndex::set_opaque(NodeId directory) {
    const erofs::Node& node = tree_.node(directory);
    Metadata metadata{node.mode, node.uid, node.gid, node.mtime, tree_.attributes(directory)};
    metadata.attributes[opaque_attribute] = "y";
    tree_.set_metadata(directory, metadata);
}

void LayerIndex::adopt(const std::string& path, Metadata metadata) {
    const Walk found = walk(path);
    if (found.end != WalkEnd::Directory || !implied_.contains(path)) {
        return; // a later entry took its place
    }
    metadata.mode = static_cast<std::uint16_t>(S_IFDIR | (metadata.mode & 07777U));
    metadata.attributes.insert(
        tree_.attributes(found.node).begin(), tree_.attributes(found.node).end());
    tree_.set_metadata(found.node, metadata);
}

Result<LayerIndex::Place> LayerIndex::place_of(const std::string& path) {
    auto [parent, name] = split_parent(path);
    return Place{TRY(directory(parent)), name};
}

Result<NodeId> LayerIndex::directory(const std::string& path) {
    if (path.empty()) {
        return Tree::root;
    }
    if (path == last_path_) {
        return last_directory_;
    }
    Walk found = walk(path);
    if (found.end == WalkEnd::Nothing) {
        TRY(make_missing(path));
        found = walk(path);
    }
    if (found.end == WalkEnd::TooManyLinks) {
        return entry_error(path, "cannot be reached: too many levels of symbolic links");
    }
    if (found.end == WalkEnd::Nothing) {
        return entry_error(path, "is not a directory, but has entries below it");
    }
    last_path_ = path;
    last_directory_ = found.node;
    return found.node;
}

Result<void> LayerIndex::make_missing(const std::string& path) {
    std::string walked;
    NodeId parent = Tree::root;
    for (std::string_view part : split(path, '/')) {
        walked.append(walked.empty() ? "" : "/").append(part);
        std::optional<NodeId> found = tree_.find(parent, part);
        const bool whiteout =
            found && tree_.node(*found).is(S_IFCHR) && tree_.node(*found).data == 0;
        if (!found || whiteout) {
            // A whiteout where a directory is needed: the directory hides what is below instead.
            tree_.remove(parent, part);
            found =
                tree_.add(parent, part, {.mode = implied_mode, .mtime = now_, .attributes = {}});
            if (whiteout) {
                set_opaque(*found);
            } else {
                texts_ += walked.size();
                implied_.insert(walked);
            }
        }
        if (!tree_.node(*found).is(S_IFDIR)) {
            const Walk followed = walk(walked);
            if (followed.end != WalkEnd::Directory) {
                return entry_error(path, "cannot be reached: a link or a file is in the way");
            }
            found = followed.node;
        }
        parent = *found;
    }
    return ok();
}

// The last of several entries with one name wins.
void LayerIndex::clear_way(const Place& place) {
    if (tree_.find(place.directory, place.name)) {
        tree_.remove(place.directory, place.name);
        last_path_.clear();
    }
}

void LayerIndex::note_size() {
    fits_ = fits_ && tree_.node_count() < limits_.nodes && tree_.name_count() < limits_.names &&
            texts_ < limits_.text_bytes && chunks_ < limits_.chunks;
}

LayerIndex::Walk LayerIndex::walk(NodeId start, std::string_view path, int& links) const {
    NodeId current = path.starts_with('/') ? Tree::root : start;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
        if (part.empty() || part == ".") {
            continue;
        }
        if (part == "..") {
            current = tree_.node(current).parent;
            continue;
        }
        const std::optional<NodeId> found =
            part.size() > NAME_MAX ? std::nullopt : tree_.find(current, part);
        if (!found) {
            return {WalkEnd::Nothing};
        }
        const erofs::Node& node = tree_.node(*found);
        if (node.is(S_IFLNK)) {
            if (++links > links_limit) {
                return {WalkEnd::TooManyLinks};
            }
            const Walk followed = walk(current, tree_.link_target(*found), links);
            if (followed.end != WalkEnd::Directory) {
                return followed;
            }
            current = followed.node;
        } else if (node.is(S_IFDIR)) {
            current = *found;
        } else {
            return {WalkEnd::Nothing};
        }
    }
    return {WalkEnd::Directory, current};
}

LayerIndex::Walk LayerIndex::walk(const std::string& path) const {
    int links = 0;
    return walk(Tree::root, path, links);
}

} // namespace berth::store
