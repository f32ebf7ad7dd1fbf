// SPDX-License-Identifier: Apache-2.0
// Where a build's files come from: a tar stream, or a client that is asked for them.
#pragma once

#include "base/result.h"
#include "build/build_context.h"
#include "codec/compression.h"
#include "codec/stream.h"

#include <optional>
#include <stop_token>
#include <string>

namespace berth::build {

// Where files go, and how much of them.
struct ContextPlace {
    std::stop_token stop;
    std::string directory; // temporary directories are made below it
    compression::DecompressionLimits limits;
};

// Used by one build, on its thread.
class ContextSource {
  public:
    ContextSource() = default;
    ContextSource(const ContextSource&) = delete;
    ContextSource& operator=(const ContextSource&) = delete;
    virtual ~ContextSource() = default;

    // The Dockerfile's text. Called first, once.
    virtual Result<std::string> dockerfile(const ContextPlace& place, const std::string& name) = 0;
    // The files, without what .dockerignore excludes. Called when a step first wants one.
    virtual Result<BuildContext> files(const ContextPlace& place) = 0;
};

// The body of the classic POST /build: one archive with the Dockerfile in it.
class TarContext final : public ContextSource {
  public:
    // archive outlives the object.
    explicit TarContext(ByteSource& archive)
        : archive_(archive) {}

    Result<std::string> dockerfile(const ContextPlace& place, const std::string& name) override;
    Result<BuildContext> files(const ContextPlace& place) override;

  private:
    ByteSource& archive_;
    std::optional<BuildContext> context_;
};

} // namespace berth::build
