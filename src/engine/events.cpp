// SPDX-License-Identifier: Apache-2.0
// The event ring and its subscribers. Filters after moby's daemon/events/filter.go.
#include "engine/events.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::engine {
namespace {

constexpr std::int64_t nanoseconds_a_second = 1'000'000'000;

// "container=web" matches a container event by id, id prefix or name.
bool matches_actor(const Filters& filters, std::string_view type, const Event& event) {
    if (!filters.contains(type)) {
        return true;
    }
    if (event.type != type) {
        return false;
    }
    auto name = event.attributes.find("name");
    return filters.prefix_match(type, event.actor_id) ||
           (name != event.attributes.end() && filters.exact_match(type, name->second));
}

// An image event matches by its full name and by the name without its tag; a container event by
// the image it was made from.
bool matches_image(const Filters& filters, const Event& event) {
    if (!filters.contains("image")) {
        return true;
    }
    const auto matches = [&filters](const std::string& text) {
        const auto tag = cut_last(text, ":");
        return filters.exact_match("image", text) ||
               (tag && filters.exact_match("image", tag->before));
    };
    auto attribute = event.attributes.find(event.type == "image" ? "name" : "image");
    return matches(event.actor_id) ||
           (attribute != event.attributes.end() && matches(attribute->second));
}

// "exec_start: ls" matches the filter event=exec_start, and its whole text.
bool matches_action(const Filters& filters, const Event& event) {
    if (!filters.contains("event")) {
        return true;
    }
    const std::string_view action = event.action;
    return filters.exact_match("event", action) ||
           filters.exact_match("event", action.substr(0, action.find(':')));
}

bool matches(const EventQuery& query, const Event& event) {
    const Filters& filters = query.filters;
    return matches_action(filters, event) && filters.exact_match("type", event.type) &&
           filters.exact_match("scope", event.scope) && matches_actor(filters, "daemon", event) &&
           matches_actor(filters, "container", event) && matches_actor(filters, "plugin", event) &&
           matches_actor(filters, "volume", event) && matches_actor(filters, "network", event) &&
           matches_image(filters, event) && filters.match_labels("label", event.attributes);
}

std::vector<Event> select(const std::deque<Event>& events, const EventQuery& query) {
    std::vector<Event> selected;
    if (!query.since && !query.until) {
        return selected;
    }
    for (const Event& event : events) {
        if ((!query.since || event.time >= *query.since) &&
            (!query.until || event.time <= *query.until) && matches(query, event)) {
            selected.push_back(event);
        }
    }
    return selected;
}

} // namespace

Events::Events()
    : ring_(std::make_shared<Synchronized<Ring>>()) {}

void Events::publish(Event event) {
    // Called under the lock, so that a subscriber sees events in order and follow() has no gap;
    // callbacks must not block.
    auto ring = ring_->lock();
    if (event.time.is_zero()) {
        // Each is after the one before it: a client that reads on with `since` takes what is not
        // for what it has seen. A clock that was set back is followed.
        event.time = Timestamp::now();
        const Timestamp latest = ring->events.empty() ? Timestamp{} : ring->events.back().time;
        const std::int64_t ahead = latest.nanoseconds - event.time.nanoseconds;
        if (ahead >= 0 && ahead < nanoseconds_a_second) {
            event.time = Timestamp{latest.nanoseconds + 1};
        }
    }
    for (const Subscriber& subscriber : ring->subscribers) {
        if (matches(subscriber.query, event)) {
            (*subscriber.callback)(event);
        }
    }
    ++ring->published;
    ring->events.push_back(std::move(event));
    if (ring->events.size() > history_limit) {
        ring->events.pop_front();
    }
}

std::uint64_t Events::published() const {
    return ring_->lock()->published;
}

std::vector<Event> Events::history(const EventQuery& query) const {
    auto ring = ring_->lock();
    return select(ring->events, query);
}

Subscription Events::subscribe(EventQuery query, Callback callback) {
    query.since.reset();
    query.until.reset();
    return follow(std::move(query), std::move(callback));
}

Subscription Events::follow(EventQuery query, Callback callback) {
    auto ring = ring_->lock();
    for (const Event& event : select(ring->events, query)) {
        callback(event);
    }
    if (query.until && *query.until <= Timestamp::now()) {
        return Subscription();
    }
    const std::uint64_t id = ring->next_id++;
    ring->subscribers.push_back(
        {id, std::move(query), std::make_shared<Callback>(std::move(callback))});
    return Subscription([shared = ring_, id] {
        // Destroyed outside the lock: the callback may own whatever called us.
        std::shared_ptr<Callback> doomed;
        auto locked = shared->lock();
        auto found = std::ranges::find(locked->subscribers, id, &Subscriber::id);
        if (found != locked->subscribers.end()) {
            doomed = std::move(found->callback);
            locked->subscribers.erase(found);
        }
    });
}

std::size_t Events::listener_count() const {
    return ring_->lock()->subscribers.size();
}

} // namespace berth::engine
