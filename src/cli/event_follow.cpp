// SPDX-License-Identifier: Apache-2.0
// An engine keeps its latest events in memory only, so the next one repeats none of another's; but
// a connection can be lost and the engine be the same.
#include "cli/event_follow.h"

#include "base/time.h"
#include "cli/demultiplexer.h"
#include "cli/document_stream.h"
#include "cli/listing.h"
#include "cli/reconnect.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace berth::cli {
namespace {

using Show = std::function<Result<void>(const json::Value& event)>;

// Nanoseconds of the last event that was shown.
class EventRow {
  public:
    explicit EventRow(const Show& show)
        : show_(show) {}

    // Errors of reading are `lost`; others are ours.
    Result<void> read(ByteSource& source, std::optional<Error>& lost) {
        DocumentStream documents(source);
        while (true) {
            auto event = documents.next();
            if (!event.ok()) {
                lost = std::move(event).error();
                return ok();
            }
            if (!*event) {
                return ok();
            }
            const std::int64_t time = number_of(**event, "timeNano");
            if (time > repeated_) {
                TRY(show_(**event));
            }
            last_ = std::max(last_, time);
        }
    }

    // From now on what was shown may come again.
    void begin_again() { repeated_ = last_; }

    std::int64_t last() const { return last_; }

  private:
    const Show& show_;
    std::int64_t last_ = 0;
    std::int64_t repeated_ = -1; // what is not later was shown before the connection was lost
};

} // namespace

Result<void>
follow_events(Session& session, const Query& query, std::string since, const Show& show) {
    Reconnect reconnect(session);
    EventRow row(show);
    const Timestamp began = Timestamp::now();
    for (bool is_first = true;; is_first = false) {
        Query now = query;
        if (!since.empty()) {
            now.add("since", since);
        }
        std::optional<Error> lost;
        auto source = session.stream({.target = "/events" + now.text()});
        if (source.ok()) {
            TRY(row.read(**source, lost));
        } else if (is_first) {
            return std::move(source).error();
        } else {
            lost = std::move(source).error();
        }
        if (!TRY(reconnect.goes_on(lost))) {
            return ok();
        }
        row.begin_again();
        if (row.last() > 0) {
            since = seconds_parameter({row.last()});
        } else if (since.empty()) {
            since = seconds_parameter(began);
        }
    }
}

} // namespace berth::cli
