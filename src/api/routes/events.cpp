// SPDX-License-Identifier: Apache-2.0
// /events: what happened and what happens, until the client goes or the time `until` comes.
#include "api/content_type.h"
#include "api/context.h"
#include "api/later.h"
#include "api/route.h"
#include "io/event_loop.h"

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace berth::api {

namespace {

// How a client of some version, with some header Accept, reads events.
struct Form {
    std::string_view content_type = "application/json"; // one document a line all the same
    bool has_old_names = false;                         // before 1.52
    bool has_image_create = true;                       // since 1.46

    bool shows(const engine::Event& event) const {
        return has_image_create || event.type != "image" || event.action != "create";
    }
};

constexpr std::string_view json_sequence = "application/json-seq";

Form form_for(const Context& context) {
    static constexpr std::array<std::string_view, 3> offers{
        "application/jsonl", "application/x-ndjson", json_sequence};
    Form form{.has_old_names = context.before(52), .has_image_create = !context.before(46)};
    if (!context.before(52)) {
        form.content_type = negotiate_content_type(
            context.request().headers.get("Accept"), offers, form.content_type);
    }
    return form;
}

std::string encode_event(const engine::Event& event, const Form& form) {
    json::Object attributes;
    for (const auto& [name, value] : event.attributes) {
        attributes[name] = value;
    }
    json::Object object;
    // The names from before events had types; clients before Docker 25 still print them.
    if (form.has_old_names && (event.type == "container" || event.type == "image")) {
        object["status"] = event.action;
        if (!event.actor_id.empty()) { // as of a prune
            object["id"] = event.actor_id;
        }
    }
    if (form.has_old_names && event.type == "container") {
        if (const auto image = event.attributes.find("image"); image != event.attributes.end()) {
            object["from"] = image->second;
        }
    }
    object["Type"] = event.type;
    object["Action"] = event.action;
    object["Actor"] = json::Object{{"ID", event.actor_id}, {"Attributes", std::move(attributes)}};
    object["scope"] = event.scope;
    object["time"] = event.time.seconds();
    object["timeNano"] = event.time.nanoseconds;
    // https://www.rfc-editor.org/rfc/rfc7464: a record separator before each document.
    const char* start = form.content_type == json_sequence ? "\x1e" : "";
    return start + json::serialize(object) + "\n";
}

// Where events go. What happens before the answer has begun is kept, so that a client that has seen
// its beginning misses nothing that it then causes.
class Outlet {
  public:
    void send(std::string event) {
        const std::lock_guard lock(mutex_);
        if (stream_) {
            stream_->send(std::move(event));
        } else {
            early_.push_back(std::move(event));
        }
    }

    void open(std::shared_ptr<http::Stream> stream) {
        const std::lock_guard lock(mutex_);
        for (std::string& event : early_) {
            stream->send(std::move(event));
        }
        early_.clear();
        stream_ = std::move(stream);
    }

  private:
    std::mutex mutex_;
    std::shared_ptr<http::Stream> stream_;
    std::vector<std::string> early_;
};

// A client that follows: ends at `until`, by a timer of the engine's loop.
class EventFollower : public std::enable_shared_from_this<EventFollower> {
  public:
    EventFollower(std::shared_ptr<http::Stream> stream, io::EventLoop& loop)
        : stream_(std::move(stream))
        , loop_(loop) {}

    void keep(engine::Subscription subscription) {
        stream_->on_close([self = shared_from_this()] { self->close(); });
        const std::lock_guard lock(mutex_);
        if (!closed_) {
            subscription_ = std::move(subscription);
        }
    }

    void end_after(std::chrono::nanoseconds delay) {
        loop_.post([self = shared_from_this(), delay] {
            if (self->stream_->closed()) {
                return;
            }
            const auto timer =
                self->loop_.add_timer(delay, [stream = self->stream_] { stream->finish(); });
            self->timer_ = timer;
        });
    }

  private:
    void close() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            cancel_later(loop_, std::move(subscription_));
        }
        loop_.post([self = shared_from_this()] {
            if (self->timer_) {
                self->loop_.cancel_timer(*self->timer_);
            }
        });
    }

    std::shared_ptr<http::Stream> stream_;
    io::EventLoop& loop_;
    std::mutex mutex_;
    bool closed_ = false;
    engine::Subscription subscription_;
    std::optional<io::EventLoop::TimerId> timer_; // only the loop's thread touches it
};

Result<void> send_events(Context& context) {
    const auto since = TRY(context.timestamp("since"));
    const auto until = TRY(context.timestamp("until"));
    auto filters = TRY(context.filters());
    engine::EventQuery query{
        .since = since,
        .until = until,
        .filters = std::move(filters),
    };
    if (query.since && query.until && *query.since > *query.until) {
        return invalid_argument(
            "`since` time (" + context.query("since") + ") cannot be after `until` time (" +
            context.query("until") + ")");
    }
    const Timestamp now = Timestamp::now();
    const Form form = form_for(context);
    const http::Headers headers{{"Content-Type", std::string(form.content_type)}};
    if (query.until && *query.until <= now) {
        auto stream = TRY(context.response().into_stream(200, headers));
        for (const engine::Event& event : context.engine().events().history(query)) {
            if (form.shows(event)) {
                stream->send(encode_event(event, form));
            }
        }
        stream->finish();
        return ok();
    }
    const auto outlet = std::make_shared<Outlet>();
    auto subscription =
        context.engine().events().follow(query, [outlet, form](const engine::Event& event) {
            if (form.shows(event)) {
                outlet->send(encode_event(event, form));
            }
        });
    auto stream = TRY(context.response().into_stream(200, headers));
    outlet->open(stream);
    auto follower = std::make_shared<EventFollower>(std::move(stream), context.engine().loop());
    follower->keep(std::move(subscription));
    if (query.until) {
        follower->end_after(std::chrono::nanoseconds(query.until->nanoseconds - now.nanoseconds));
    }
    return ok();
}

} // namespace

std::span<const Route> event_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"GET", "/events", send_events},
    });
    return routes;
}

} // namespace berth::api
