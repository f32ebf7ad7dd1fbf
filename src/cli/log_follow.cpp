// SPDX-License-Identifier: Apache-2.0
// One request after the other, until the log has ended.
#include "cli/log_follow.h"

#include "base/file.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <unistd.h>

namespace berth::cli {
namespace {

constexpr std::string_view bookmarked_type = "application/vnd.berth.bookmarked-stream";

Result<void> write_out(io::Stream stream, std::string_view bytes) {
    return write_all(
        FdRef::unowned(stream == io::Stream::Stdout ? STDOUT_FILENO : STDERR_FILENO), bytes);
}

// Errors of reading are `lost`; those of writing are ours.
Result<void> copy(ByteSource& source, BookmarkedOutput& output, std::optional<Error>& lost) {
    std::array<char, 32768> buffer;
    while (true) {
        Result<std::size_t> got = source.read(buffer);
        if (!got.ok()) {
            lost = std::move(got).error();
            return ok();
        }
        if (*got == 0) {
            return ok();
        }
        TRY(output.feed(std::string_view(buffer.data(), *got)));
    }
}

} // namespace

Result<void> BookmarkedOutput::feed(std::string_view bytes) {
    return demultiplexer_.feed(bytes, [this](io::Stream stream, std::string_view payload) {
        return take(stream, payload);
    });
}

Result<void> BookmarkedOutput::take(io::Stream stream, std::string_view payload) {
    if (stream == io::Stream::Bookmark) {
        coming_ += payload;
        if (demultiplexer_.at_frame_boundary()) {
            bookmark_ = std::exchange(coming_, {});
            behind_ = 0;
        }
        return ok();
    }
    behind_ += payload.size();
    const std::size_t known = std::min(skip_, payload.size());
    skip_ -= known;
    payload.remove_prefix(known);
    return payload.empty() ? ok() : sink_(stream, payload);
}

void BookmarkedOutput::begin_again() {
    demultiplexer_ = {};
    coming_.clear();
    skip_ += std::exchange(behind_, 0);
}

Result<void>
follow_log(Session& session, const std::string& path, const Query& query, Multiplexed plain) {
    Reconnect reconnect(session);
    BookmarkedOutput output(write_out);
    bool is_first = true;
    while (true) {
        Query now = query;
        now.add("bookmarks", true);
        if (!output.bookmark().empty()) {
            now.add("bookmark", output.bookmark());
        }
        std::string type;
        auto source = session.stream(
            {.target = path + "/logs" + now.text(),
             .wanted_header = "Content-Type",
             .header_value = &type});
        std::optional<Error> lost;
        if (source.ok() && type != bookmarked_type) {
            return copy_output(**source, plain);
        }
        if (source.ok()) {
            TRY(copy(**source, output, lost));
        } else if (is_first || !is_lost(source.error())) {
            return std::move(source).error();
        } else {
            lost = std::move(source).error();
        }
        if (!TRY(reconnect.goes_on(lost))) {
            return ok();
        }
        output.begin_again();
        is_first = false;
    }
}

} // namespace berth::cli
