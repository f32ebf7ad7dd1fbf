// SPDX-License-Identifier: Apache-2.0
// A layer's tar as a tree: what LayerExtractor would make of it on a disk, in memory and without
// the files' data. Both must agree to the last attribute; layer_form_test.cpp compares them.
#pragma once

#include "base/result.h"
#include "codec/erofs_tree.h"
#include "codec/tar.h"
#include "store/layer_entry.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace berth::store {

struct IndexLimits {
    ExtractionLimits extraction;
    // What is kept in memory; a layer with more becomes a directory.
    std::size_t nodes = 1U << 20;
    std::size_t names = 2U << 20;        // hard links too
    std::size_t text_bytes = 256U << 20; // of names, targets, attributes, implied directories
    std::size_t chunks = 1U << 20;       // of all files with holes
};

// A file with holes whose pieces do not lie in the archive as an image needs them: they are copied.
struct ScatteredFile {
    erofs::NodeId node;
    std::uint64_t position; // of its data in the image
    std::vector<tar::Segment> segments;
    unsigned chunk_bits;
};

class LayerIndex {
  public:
    // `now` is the time of directories that have none.
    LayerIndex(IndexLimits limits, std::int64_t now);

    // The next entry; its data lies in the image from `position` on, the segments one after the
    // other. InvalidArgument names the entry that cannot be.
    Result<void>
    add(const tar::Header& header, std::vector<tar::Segment> segments, std::uint64_t position);

    // False when the layer is more than memory or an image should hold; what was added since is
    // checked no more.
    bool fits() const { return fits_; }

    // Bytes of the files, as the extractor counts them.
    std::uint64_t size() const { return size_; }

    // Directories that no entry named, parents first.
    const std::set<std::string>& implied_directories() const { return implied_; }

    // Gives an implied directory other metadata. The mode keeps its type.
    void adopt(const std::string& path, erofs::Metadata metadata);

    const std::vector<ScatteredFile>& scattered_files() const { return scattered_; }

    erofs::Tree& tree() { return tree_; }

  private:
    struct Place {
        erofs::NodeId directory;
        std::string name;
    };

    Result<void> add_present(
        const tar::Header& header, std::vector<tar::Segment> segments, std::uint64_t position);
    Result<void> add_directory(const tar::Header& header, const std::string& path);
    Result<void> add_hard_link(const tar::Header& header, const Place& place);
    Result<void> add_node(
        const tar::Header& header,
        const Place& place,
        std::vector<tar::Segment> segments,
        std::uint64_t position);
    Result<void> set_data(
        erofs::NodeId node,
        const tar::Header& header,
        std::vector<tar::Segment> segments,
        std::uint64_t position);
    void set_scattered_data(
        erofs::NodeId node, std::vector<tar::Segment> segments, std::uint64_t position);
    void add_whiteout(const Place& place);
    void set_opaque(erofs::NodeId directory);

    Result<Place> place_of(const std::string& path);
    Result<erofs::NodeId> directory(const std::string& path);
    Result<void> make_missing(const std::string& path);
    void clear_way(const Place& place);
    void note_size();

    // What a walk finds: a directory, nothing, or too many links on the way.
    enum class WalkEnd : std::uint8_t { Directory, Nothing, TooManyLinks };

    struct Walk {
        WalkEnd end;
        erofs::NodeId node = 0;
    };

    Walk walk(erofs::NodeId start, std::string_view path, int& links) const;
    Walk walk(const std::string& path) const;

    IndexLimits limits_;
    std::int64_t now_;
    erofs::Tree tree_;
    std::set<std::string> implied_;
    std::vector<ScatteredFile> scattered_;
    // The directory that was walked to last: entries of one directory come one after the other.
    std::string last_path_;
    erofs::NodeId last_directory_ = erofs::Tree::root;
    std::uint64_t entries_ = 0;
    std::uint64_t size_ = 0;
    std::size_t texts_ = 0;
    std::size_t chunks_ = 0;
    bool fits_ = true;
};

} // namespace berth::store
