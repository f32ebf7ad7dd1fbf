// SPDX-License-Identifier: Apache-2.0
// A blob that is being received: a file below its repository, so that the client can go on after
// the server was restarted or killed. Internal to the storage and its handlers.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "base/write_behind.h"
#include "codec/stream.h"
#include "oci/digester.h"
#include "registry/server/repository.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace berth::registry {

// 32 hexadecimal digits.
bool is_upload_id(std::string_view id);

class Upload {
  public:
    using Clock = std::chrono::steady_clock;

    const std::string id;
    const std::shared_ptr<Repository> repository;
    const std::string path;

    // Held by the request that uses the upload; everything below is for its holder.
    std::timed_mutex mutex;
    bool over = false; // became a blob, or was cancelled

    // Makes the file.
    static Result<std::shared_ptr<Upload>> create(
        std::string id,
        std::shared_ptr<Repository> repository,
        std::string path,
        Usage& total,
        oci::Digester digester);
    // What an earlier process began. NotFound when there is none. Its bytes are read once, when
    // the upload goes on.
    static Result<std::shared_ptr<Upload>>
    resume(std::string id, std::shared_ptr<Repository> repository, std::string path, Usage& total);
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;

    std::uint64_t size() const { return size_; }

    // All of source, after what is there. What came before an error stays and counts.
    Result<void> append(ByteSource& source);
    // Of all bytes; they are on disk afterwards.
    Result<oci::Digest> finish(std::string_view algorithm);

    // Its bytes count in both quotas as long as the file is there, whether somebody has it open or
    // not. For when the file goes.
    void give_back();

    // The file became a blob, which counts itself.
    void forget_reservation() { reserved_ = 0; }

    std::optional<Clock::time_point> last_use; // guarded by the storage

  private:
    Upload(
        std::string upload_id,
        std::shared_ptr<Repository> upload_repository,
        std::string upload_path,
        Usage& total)
        : id(std::move(upload_id))
        , repository(std::move(upload_repository))
        , path(std::move(upload_path))
        , total_(total) {}

    Result<void> reserve(std::uint64_t bytes);
    Result<void> keep(std::string_view bytes);
    Result<void> ensure_digester(std::string_view algorithm);

    Usage& total_;
    UniqueFd fd_;
    std::uint64_t size_ = 0;
    WriteBehind write_behind_;
    std::uint64_t reserved_ = 0;
    std::optional<oci::Digester> digester_; // of the first size_ bytes
};

} // namespace berth::registry
