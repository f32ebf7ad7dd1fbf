// SPDX-License-Identifier: Apache-2.0
// /events: what happened and what happens, until the client goes or the time `until` comes.
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

std::string encode_event(const engine::Event& event) {
    json::Object attributes;
    for (const auto& [name, value] : event.attributes) {
        attributes[name] = value;
    }
    json::Object object;
    // The names from before events had types; clients still print them.
    if (event.type == "container" || event.type == "image") {
        object["status"] = event.action;
        object["id"] = event.actor_id;
    }
    if (event.type == "container") {
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
    return json::serialize(object) + "\n";
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
class Follower : public std::enable_shared_from_this<Follower> {
  public:
    Follower(std::shared_ptr<http::Stream> stream, io::EventLoop& loop)
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

Result<void> events(Context& context) {
    const auto since = TRY(context.timestamp("since"));
    const auto until = TRY(context.timestamp("until"));
    auto filters = TRY(context.filters());
    engine::EventQuery query{
        .since = since,
        .until = until,
        .filters = std::move(filters),
    };
    TRY(engine::Events::check(query));
    if (query.since && query.until && *query.since > *query.until) {
        return invalid_argument(
            "`since` time (" + context.query("since") + ") cannot be after `until` time (" +
            context.query("until") + ")");
    }
    const Timestamp now = Timestamp::now();
    if (query.until && *query.until <= now) {
        auto stream = TRY(context.response().into_stream(200, json_headers()));
        for (const engine::Event& event : context.engine().events().history(query)) {
            stream->send(encode_event(event));
        }
        stream->finish();
        return ok();
    }
    const auto outlet = std::make_shared<Outlet>();
    auto subscription = context.engine().events().follow(
        query, [outlet](const engine::Event& event) { outlet->send(encode_event(event)); });
    auto stream = TRY(context.response().into_stream(200, json_headers()));
    outlet->open(stream);
    auto follower = std::make_shared<Follower>(std::move(stream), context.engine().loop());
    follower->keep(std::move(subscription));
    if (query.until) {
        follower->end_after(std::chrono::nanoseconds(query.until->nanoseconds - now.nanoseconds));
    }
    return ok();
}

constexpr auto routes = std::to_array<Route>({
    {"GET", "/events", events},
});

} // namespace

std::span<const Route> event_routes() {
    return routes;
}

} // namespace berth::api
