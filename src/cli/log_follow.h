// SPDX-License-Identifier: Apache-2.0
// Follows a container's log onto our stdout and stderr. When the engine goes away the next one is
// asked to go on where this one stopped: no byte is lost, and none comes twice.
#pragma once

#include "base/result.h"
#include "cli/demultiplexer.h"
#include "cli/query.h"
#include "cli/reconnect.h"
#include "cli/session.h"
#include "io/stream_multiplexer.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace berth::cli {

// Frames with bookmarks between them (docs/api-extensions.md). What came behind the last bookmark
// comes again after begin_again(), and is left out then.
class BookmarkedOutput {
  public:
    using Sink = io::StreamDemultiplexer::Sink;

    explicit BookmarkedOutput(Sink sink)
        : sink_(std::move(sink)) {}

    Result<void> feed(std::string_view bytes);
    void begin_again();

    // Empty: none has come yet.
    const std::string& bookmark() const { return bookmark_; }

  private:
    Result<void> take(io::Stream stream, std::string_view payload);

    Sink sink_;
    io::StreamDemultiplexer demultiplexer_;
    std::string bookmark_;
    std::string coming_;     // a bookmark that is not whole yet
    std::size_t behind_ = 0; // bytes that came behind the bookmark
    std::size_t skip_ = 0;   // bytes to come that were written before
};

// `query`: the parameters of GET /containers/x/logs with follow. `terminal`: what it is when the
// engine knows no bookmarks (Docker's).
Result<void>
follow_log(Session& session, const std::string& path, const Query& query, Multiplexed plain);

} // namespace berth::cli
