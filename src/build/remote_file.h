// SPDX-License-Identifier: Apache-2.0
// A file of ADD's that comes from http:// or https://, downloaded below the data root for the time
// of one step.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "build/source_tree.h"

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

namespace berth::build {

inline constexpr std::uint64_t remote_file_limit = 16ULL << 30;

struct RemoteRequest {
    std::string url;
    std::string parent; // of the temporary directory
    std::uint64_t limit = remote_file_limit;
};

class RemoteFile {
  public:
    // Follows redirects. The file has mode 0600, and the time that the server gives or 1970.
    // Errors name the address and the status or the cause.
    static Result<RemoteFile> download(std::stop_token stop, const RemoteRequest& request);

    // False when neither the address nor the server names it.
    bool is_named() const { return named_; }

    const SourceTree& tree() const { return *tree_; }

    const SourcePath& path() const { return path_; }

    // "sha256:<hex>" of the content.
    const std::string& digest() const { return digest_; }

  private:
    RemoteFile(TemporaryDirectory directory, std::unique_ptr<SourceTree> tree)
        : directory_(std::move(directory))
        , tree_(std::move(tree)) {}

    TemporaryDirectory directory_;
    std::unique_ptr<SourceTree> tree_;
    SourcePath path_;
    bool named_ = false;
    std::string digest_;
};

bool is_http_url(std::string_view text);

// The last component of the address's path, else the server's Content-Disposition; "" when neither
// gives a name that may stand in a directory.
std::string remote_file_name(std::string_view url, std::string_view content_disposition);

} // namespace berth::build
