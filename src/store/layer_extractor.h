// SPDX-License-Identifier: Apache-2.0
// Unpacks a layer's tar into a directory, in overlay form. The tar is hostile: every path is walked
// by descriptor within the directory, links never lead out, and overlayfs's own attributes cannot
// be smuggled in.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/tar.h"
#include "store/frame_recorder.h"
#include "store/layer_entry.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <sys/types.h>
#include <unistd.h>

namespace berth::store {

// One extraction by one thread. REQUIRES: nobody else changes the directory meanwhile.
class LayerExtractor {
  public:
    // root is a directory, usually empty.
    static Result<LayerExtractor> create(const std::string& root, ExtractionLimits limits = {});

    // The whole archive, including what follows its end mark. InvalidArgument names the entry that
    // cannot be.
    Result<void> extract(ByteSource& archive);
    // The same, and the recorder knows afterwards which file has which of the archive's bytes.
    Result<void> extract(FrameRecorder& archive);

    // Bytes of the files that were written.
    std::uint64_t size() const { return size_; }

    // Directories that had to be made without an entry of their own, parents first.
    std::set<std::string> take_implied_directories() { return std::move(implied_); }

  private:
    // Where an entry goes: the directory that holds it, and its name there.
    struct Place {
        int directory;
        std::string name;
        std::string path; // with links resolved; known only where a frame is recorded
    };

    struct OpenDirectory {
        UniqueFd fd;
        std::optional<std::string> path; // likewise
    };

    LayerExtractor(UniqueFd root, ExtractionLimits limits, mode_t umask)
        : root_{.fd = std::move(root), .path = std::string()}
        , limits_(limits)
        , umask_(umask) {}

    Result<void> extract_entry(tar::Reader& reader, const tar::Header& header);
    Result<void>
    extract_present(tar::Reader& reader, const tar::Header& header, const std::string& path);
    Result<void> write_file(tar::Reader& reader, const tar::Header& header, const Place& place);
    Result<void>
    write_data(tar::Reader& reader, const tar::Header& header, const Place& place, FdRef file);
    Result<void> make_directory(const tar::Header& header, const std::string& path);
    Result<void> make_hard_link(const tar::Header& header, const Place& place);
    Result<void> make_special(const tar::Header& header, const Place& place);
    Result<void> make_whiteout(const Place& place);
    Result<void> mark_opaque(const std::string& directory);

    Result<Place> place_of(const std::string& path);
    // Good until the next call.
    Result<const OpenDirectory*> directory(const std::string& path);
    Result<void> make_missing(const std::string& path);
    Result<void> make_missing_component(FdRef parent, const std::string& name);
    Result<void> clear_way(const Place& place);
    Result<void> set_file_metadata(const tar::Header& header, FdRef file);
    Result<void> set_directory_times();
    // Before a directory's name is kept.
    Result<void> count_name(const std::string& path);

    OpenDirectory root_;
    ExtractionLimits limits_;
    mode_t umask_;
    // What creating a file gives it already.
    uid_t own_uid_ = geteuid();
    gid_t own_gid_ = getegid();
    FrameRecorder* recorder_ = nullptr;
    std::unordered_map<std::string, OpenDirectory> directories_;
    std::map<std::string, std::int64_t> directory_times_;
    std::set<std::string> implied_;
    std::string buffer_;
    std::size_t directory_names_ = 0;
    std::uint64_t entries_ = 0;
    std::uint64_t size_ = 0;
};

} // namespace berth::store
