// SPDX-License-Identifier: Apache-2.0
// What happened, as Docker's events: a bounded ring of the last ones and subscribers. Thread-safe.
// A subscriber's callback runs on the thread that publishes, with the ring locked: it must not
// block, publish, or end its own subscription.
#pragma once

#include "base/synchronized.h"
#include "base/time.h"
#include "engine/filters.h"
#include "engine/subscription.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace berth::engine {

struct Event {
    std::string type;   // container, image, network, volume, daemon, builder
    std::string action; // create, start, die, "exec_create: ls", "health_status: healthy", …
    std::string actor_id;
    StringMap attributes;
    std::string scope = "local";
    Timestamp time;
};

struct EventQuery {
    std::optional<Timestamp> since;
    std::optional<Timestamp> until;
    Filters filters; // others are ignored, as by Docker: container, daemon, event, image, label,
                     // network, scope, type, volume, …
};

class Events {
  public:
    // Events kept for `since`, as Docker keeps them.
    static constexpr std::size_t history_limit = 256;

    using Callback = std::function<void(const Event&)>;

    Events();

    // Sets the time when it is zero.
    void publish(Event event);

    // Kept events that match, oldest first. Without since there are none (Docker does so too).
    std::vector<Event> history(const EventQuery& query) const;

    // From now on. To miss nothing between history and the live stream, use follow().
    Subscription subscribe(EventQuery query, Callback callback);

    // history() through the callback, then the live ones, without a gap or a repetition. Until in
    // the past or now: only history. The caller ends the stream at `until` with its own timer.
    Subscription follow(EventQuery query, Callback callback);

    std::size_t listener_count() const;
    std::uint64_t published() const; // since the engine began

  private:
    struct Subscriber {
        std::uint64_t id;
        EventQuery query;
        std::shared_ptr<Callback> callback;
    };

    struct Ring {
        std::deque<Event> events;
        std::vector<Subscriber> subscribers;
        std::uint64_t next_id = 1;
        std::uint64_t published = 0;
    };

    // Shared with the subscriptions, which may outlive the service.
    std::shared_ptr<Synchronized<Ring>> ring_;
};

} // namespace berth::engine
