// SPDX-License-Identifier: Apache-2.0
// Makes the frame of a tar (store/tar_frame.h) while the tar is unpacked. A content that is in the
// directory no more when the tar ends (a later entry took its name) is in the frame itself; until
// then such files are moved aside, not deleted.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/stream.h"
#include "store/tar_frame.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::store {

// A tar's source that notes what passes. Everything is kept as it is but what begin_content()
// announces. By one thread.
class FrameRecorder final : public ByteSource {
  public:
    // The tar is unpacked to `tree` in `directory`. The source must outlive this object.
    static Result<std::unique_ptr<FrameRecorder>>
    create(ByteSource& tar, const std::string& directory, FdRef tree);

    Result<std::size_t> read(std::span<char> buffer) override;

    // Where a directory of the tree is in it, links resolved; nullopt where that cannot be told:
    // its files' contents are kept in the frame then.
    std::optional<std::string> path_of(FdRef directory) const;

    // The next bytes are to be found in the file of that path, as long as release() does not see
    // it.
    Result<void> begin_content(const std::string& path, std::uint64_t offset, std::uint64_t length);

    // The name is about to be given to something else. True when what has it was moved aside, false
    // when it may be deleted.
    Result<bool> release(FdRef directory, const std::string& name, const std::string& path);

    // REQUIRES: the source is at its end.
    Result<void> finish();

  private:
    // Contents that were announced before `contents` and not replaced before are in
    // replaced/<number>.
    struct Replaced {
        std::uint64_t contents;
        std::uint64_t number;
    };

    FrameRecorder(ByteSource& tar, std::string directory, std::string tree_link)
        : tar_(tar)
        , directory_(std::move(directory))
        , tree_link_(std::move(tree_link)) {}

    std::optional<std::string> find_replaced(const std::string& path, std::uint64_t content) const;
    Result<void> take_in_replaced();
    Result<void> copy_replaced(FrameWriter& writer, const FramePart& part, const std::string& path);

    ByteSource& tar_;
    std::string directory_;
    std::string tree_link_; // the tree's own path, as the kernel has it
    std::unique_ptr<FrameWriter> writer_;
    std::uint64_t content_left_ = 0;
    std::uint64_t contents_ = 0;
    UniqueFd aside_; // the directory of what was replaced
    std::map<std::string, std::vector<Replaced>> replaced_;
    std::uint64_t replaced_count_ = 0;
    std::uint64_t replaced_bytes_ = 0; // of memory, about
};

} // namespace berth::store
