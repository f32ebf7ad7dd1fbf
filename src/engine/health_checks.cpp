// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/health.go: the same defaults, limits and states. A probe's output comes back
// over a socket pair that the monitor serves as it serves any client.
#include "engine/health_checks.h"

#include "base/log.h"
#include "engine/exec_table.h"
#include "io/stream_multiplexer.h"

#include <condition_variable>
#include <csignal>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr nanoseconds default_interval = std::chrono::seconds(30);
constexpr nanoseconds default_timeout = std::chrono::seconds(30);
constexpr nanoseconds default_start_interval = std::chrono::seconds(5);
constexpr std::int64_t default_retries = 3;
constexpr std::size_t check_output_limit = 4096;
constexpr std::size_t log_limit = 5;

nanoseconds or_default(std::int64_t value, nanoseconds fallback) {
    return value > 0 ? nanoseconds(value) : fallback;
}

std::vector<std::string> command_of(const ContainerConfig& config, const HealthConfig& check) {
    std::vector<std::string> command;
    if (check.test.front() == "CMD-SHELL") {
        command = config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : config.shell;
    }
    command.insert(command.end(), check.test.begin() + 1, check.test.end());
    return command;
}

struct SocketPair {
    UniqueFd ours;
    UniqueFd theirs;
};

Result<SocketPair> make_socket_pair() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return errno_error("socketpair");
    }
    return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// A probe that stood still with its container says nothing of it.
bool was_frozen(LiveContainer& container, std::uint64_t thaws_before) {
    auto state = container.state.lock();
    return state->thaws != thaws_before || state->life.state.status == ContainerStatus::Paused;
}

// Reads until the other end closes or the time is over; keeps the first bytes. True at the end.
bool read_output(FdRef fd, std::string& output, std::chrono::steady_clock::time_point deadline) {
    char buffer[1024];
    while (true) {
        const auto left =
            std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
        pollfd wanted{.fd = fd.get(), .events = POLLIN, .revents = 0};
        if (left.count() <= 0 || poll(&wanted, 1, static_cast<int>(left.count())) <= 0) {
            return false;
        }
        const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
        if (got <= 0) {
            return true;
        }
        const std::size_t room = check_output_limit - std::min(output.size(), check_output_limit);
        output.append(buffer, std::min(static_cast<std::size_t>(got), room));
    }
}

// The payloads of Docker's frames; what was cut off at the end goes too.
std::string plain_output(const std::string& frames) {
    std::string output;
    io::StreamDemultiplexer demultiplexer;
    const auto sink = [&output](io::Stream, std::string_view bytes) -> Result<void> {
        output += bytes;
        return ok();
    };
    auto fed = demultiplexer.feed(frames, sink);
    return fed.ok() ? output : frames;
}

} // namespace

bool HealthChecks::has_check(const ContainerConfig& config) {
    return config.healthcheck && config.healthcheck->test.size() > 1 &&
           config.healthcheck->test.front() != "NONE";
}

std::optional<Health> HealthChecks::initial(const ContainerConfig& config) {
    if (!has_check(config)) {
        return std::nullopt;
    }
    return Health{.status = "starting"};
}

void HealthChecks::begin(const ContainerPtr& container, std::uint64_t run) {
    if (has_check(view_of(*container).definition->config)) {
        plan(container, run);
    }
}

void HealthChecks::plan(const ContainerPtr& container, std::uint64_t run) {
    const ContainerView view = view_of(*container);
    const HealthConfig& check = *view.definition->config.healthcheck;
    nanoseconds interval = or_default(check.interval, default_interval);
    if (view.life.state.health && view.life.state.health->status == "starting" &&
        check.start_period > 0) {
        const std::int64_t age =
            Timestamp::now().nanoseconds - view.life.state.started_at.nanoseconds;
        if (age < check.start_period) {
            interval = std::min(interval, or_default(check.start_interval, default_start_interval));
        }
    }
    core_.after(
        std::chrono::duration_cast<milliseconds>(interval),
        [this, weak = std::weak_ptr(container), run] {
            auto target = weak.lock();
            if (target == nullptr || core_.closed) {
                return;
            }
            auto submitted = core_.probes->submit([this, target, run] { probe(target, run); });
            if (!submitted.ok()) {
                log::warn("too many health probes, leaving one out", {{"id", target->id}});
                plan(target, run);
            }
        });
}

void HealthChecks::probe(const ContainerPtr& container, std::uint64_t run) {
    std::shared_ptr<const ContainerDefinition> definition;
    std::uint64_t thaws = 0;
    {
        auto state = container->state.lock();
        if (state->run != run || !state->life.state.is_running() || core_.stopping) {
            return;
        }
        if (state->life.state.status == ContainerStatus::Running) {
            definition = state->definition;
        }
        thaws = state->thaws;
    }
    if (definition) { // else paused: not asked, not blamed
        HealthResult result = run_probe(container, *definition->config.healthcheck);
        if (result.exit_code == 0 || !was_frozen(*container, thaws)) {
            ++core_.metrics.health_checks;
            core_.metrics.health_checks_failed += result.exit_code == 0 ? 0U : 1U;
            record(container, run, std::move(result));
        }
    }
    plan(container, run);
}

HealthResult HealthChecks::run_probe(const ContainerPtr& container, const HealthConfig& check) {
    HealthResult result{.start = Timestamp::now(), .end = {}, .exit_code = -1, .output = {}};
    const ContainerView view = view_of(*container);
    ExecConfig config{.attach_stdout = true, .attach_stderr = true};
    config.tty = false;
    config.cmd = command_of(view.definition->config, check);
    const auto fail = [&result](std::string text) {
        result.output = std::move(text);
        result.end = Timestamp::now();
        return result;
    };
    auto id = execs_.create(container, std::move(config));
    auto sockets = make_socket_pair();
    if (!id.ok() || !sockets.ok()) {
        return fail(id.ok() ? sockets.error().message() : id.error().message());
    }
    auto started =
        execs_.start(*id, {}, ExecStream{.connection = std::move(sockets->theirs), .leftover = {}});
    if (!started.ok()) {
        return fail(started.error().message());
    }

    struct Shared {
        std::mutex mutex;
        std::condition_variable changed;
        std::optional<std::int64_t> exit_code;
    };

    auto shared = std::make_shared<Shared>();
    execs_.on_end(*id, [shared](std::int64_t exit_code) {
        const std::lock_guard lock(shared->mutex);
        shared->exit_code = exit_code;
        shared->changed.notify_all();
    });
    const nanoseconds timeout = or_default(check.timeout, default_timeout);
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::string frames;
    const bool ended = read_output(sockets->ours, frames, deadline);
    std::unique_lock lock(shared->mutex);
    const auto has_ended = [&] { return shared->exit_code.has_value(); };
    if (!ended || !shared->changed.wait_until(lock, deadline, has_ended)) {
        lock.unlock();
        auto killed = execs_.kill(*id, SIGKILL);
        if (!killed.ok()) {
            log::debug("health probe ended by itself", {{"id", container->id}});
        }
        const auto seconds = std::chrono::duration<double>(timeout).count();
        std::string text = std::to_string(seconds);
        text.erase(text.find_last_not_of('0') + 1);
        if (text.ends_with('.')) {
            text.pop_back();
        }
        return fail("Health check exceeded timeout (" + text + "s)");
    }
    result.exit_code = *shared->exit_code;
    result.end = Timestamp::now();
    result.output = plain_output(frames);
    return result;
}

void HealthChecks::record(const ContainerPtr& container, std::uint64_t run, HealthResult result) {
    std::string before;
    std::string after;
    std::shared_ptr<const ContainerDefinition> definition;
    {
        auto state = container->state.lock();
        if (state->run != run || !state->life.state.is_running() || !state->life.state.health) {
            return;
        }
        definition = state->definition;
        const HealthConfig& check = *definition->config.healthcheck;
        Health& health = *state->life.state.health;
        before = health.status;
        if (result.exit_code == 0) {
            health.failing_streak = 0;
            health.status = "healthy";
        } else {
            const std::int64_t age =
                result.start.nanoseconds - state->life.state.started_at.nanoseconds;
            // Failures while a container starts do not count.
            if (health.status != "starting" || age >= check.start_period) {
                ++health.failing_streak;
            }
            const std::int64_t retries = check.retries > 0 ? check.retries : default_retries;
            if (health.failing_streak >= retries) {
                health.status = "unhealthy";
            }
        }
        after = health.status;
        health.log.push_back(std::move(result));
        if (health.log.size() > log_limit) {
            health.log.erase(health.log.begin());
        }
    }
    core_.persist(*container, store::Durability::Cache);
    if (before != after) {
        core_.publish(*definition, "health_status: " + after);
    }
    if (after == "unhealthy" && unhealthy_) {
        core_.in_starts([this, container, run] { unhealthy_(container, run); });
    }
}

} // namespace berth::engine
