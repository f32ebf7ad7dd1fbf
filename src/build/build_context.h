// SPDX-License-Identifier: Apache-2.0
// The client's files: a tar stream unpacked below the data root for the time of the build.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "build/source_tree.h"
#include "codec/compression.h"
#include "codec/stream.h"

#include <memory>
#include <string>

namespace berth::build {

class BuildContext {
  public:
    // Reads archive (compressed or not) to its end and unpacks it below parent.
    static Result<BuildContext> create(
        const std::string& parent,
        ByteSource& archive,
        const compression::DecompressionLimits& limits);

    // For files that come by another way; they go below tree().root().
    static Result<BuildContext> create_empty(const std::string& parent);

    // The Dockerfile's text. "Cannot locate specified Dockerfile: x" or "the Dockerfile (x) cannot
    // be empty".
    Result<std::string> read_dockerfile(const std::string& name) const;

    // Removes what .dockerignore excludes. The command line has done so already, but for the
    // Dockerfile and .dockerignore; other clients leave it to us.
    Result<void> apply_ignore_file();

    const SourceTree& tree() const { return *tree_; }

  private:
    BuildContext(TemporaryDirectory directory, std::unique_ptr<SourceTree> tree)
        : directory_(std::move(directory))
        , tree_(std::move(tree)) {}

    TemporaryDirectory directory_;
    std::unique_ptr<SourceTree> tree_;
};

} // namespace berth::build
