// SPDX-License-Identifier: Apache-2.0
// events: a line of JSON for each statistic and for each process killed for lack of memory, until
// the container ends.
#include "base/file.h"
#include "codec/json.h"
#include "kernel/cgroup_oom.h"
#include "runtime/command_line/commands.h"
#include "runtime/command_line/duration.h"
#include "runtime/command_line/event_stats.h"
#include "runtime/container.h"

#include <boost/json/object.hpp>

#include <array>
#include <cerrno>

#include <poll.h>
#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

using Clock = std::chrono::steady_clock;

Result<void> print_event(const std::string& id, std::string_view type, const json::Value* data) {
    json::Object event;
    event["type"] = type;
    event["id"] = id;
    if (data != nullptr) {
        event["data"] = *data;
    }
    return write_all(
        FdRef::unowned(STDOUT_FILENO), json::serialize(json::Value(std::move(event))) + "\n");
}

Result<void> print_stats(const Container& container) {
    json::Value stats = TRY(stats_of(container.cgroup()));
    return print_event(container.id(), "stats", &stats);
}

int milliseconds_until(Clock::time_point time) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now());
    constexpr std::int64_t day = 86'400'000;
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, day));
}

Result<void> print_until_end(const Container& container, std::chrono::nanoseconds interval) {
    kernel::OomWatch watch = TRY(kernel::OomWatch::create(container.cgroup()));
    std::uint64_t kills = container.cgroup().oom_kills().value_or(0);
    Clock::time_point next = Clock::now() + interval;
    while (true) {
        std::array<pollfd, 2> watched{
            {{container.pidfd().get(), POLLIN, 0}, {watch.fd().get(), POLLIN, 0}}};
        if (::poll(watched.data(), watched.size(), milliseconds_until(next)) < 0 &&
            errno != EINTR) {
            return errno_error("poll");
        }
        if (watched[1].revents != 0) {
            watch.clear();
        }
        // The count goes with the group, which others may remove; what happened is told before.
        for (const std::uint64_t now = container.cgroup().oom_kills().value_or(0); kills < now;
             ++kills) {
            TRY(print_event(container.id(), "oom", nullptr));
        }
        if (watched[0].revents != 0) {
            return ok();
        }
        if (Clock::now() >= next) {
            TRY(print_stats(container));
            next += interval;
        }
    }
}

} // namespace

Result<int> events(const Globals& globals, const Flags& flags) {
    std::string id = TRY(flags.container_id());
    std::chrono::nanoseconds interval = std::chrono::seconds(5);
    if (flags.is_given("interval")) {
        interval = TRY(parse_duration(flags.value("interval")));
    }
    if (interval.count() <= 0) {
        return invalid_argument("duration interval must be greater than 0");
    }
    Container container = TRY(Container::load(globals.root, id));
    if (container.pidfd().get() < 0 || TRY(container.state()).status == Status::Stopped) {
        return conflict("container with id " + id + " is not running");
    }
    if (!container.cgroup().exists()) {
        return Error(ErrorKind::Unavailable, "container " + id + " has no cgroup to read");
    }
    TRY(flags.is_set("stats") ? print_stats(container) : print_until_end(container, interval));
    return 0;
}

} // namespace berth::runtime::command_line
