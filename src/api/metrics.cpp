// SPDX-License-Identifier: Apache-2.0
// Names, types and help of the families that Docker has are Docker's (daemon/internal/metrics of
// moby, and its builder's); those of Prometheus' own client library follow, and ours.
#include "api/metrics.h"

#include "api/metrics_text.h"
#include "base/file.h"
#include "base/strings.h"
#include "engine/events.h"
#include "engine/images.h"
#include "engine/system.h"

#include <algorithm>
#include <ctime>

#include <sys/resource.h>
#include <unistd.h>

namespace berth::api {

namespace {

constexpr const char* text_type = "text/plain; version=0.0.4; charset=utf-8";

double as_number(std::uint64_t count) {
    return static_cast<double>(count);
}

void add_actions(MetricsText& text, engine::Metrics& metrics) {
    text.family(
        "engine_daemon_container_actions_seconds",
        "histogram",
        "The number of seconds it takes to process each container action");
    const auto& containers = metrics.containers;
    text.histogram({{"action", "changes"}}, containers.changes);
    text.histogram({{"action", "commit"}}, containers.commit);
    text.histogram({{"action", "create"}}, containers.create);
    text.histogram({{"action", "delete"}}, containers.remove);
    text.histogram({{"action", "start"}}, containers.start);
    text.family(
        "engine_daemon_network_actions_seconds",
        "histogram",
        "The number of seconds it takes to process each network action");
    text.histogram({{"action", "allocate"}}, metrics.networks.allocate);
    text.histogram({{"action", "connect"}}, metrics.networks.connect);
    text.histogram({{"action", "release"}}, metrics.networks.release);
    text.family(
        "engine_daemon_image_actions_seconds",
        "histogram",
        "The number of seconds it takes to process each image action");
    text.histogram({{"action", "delete"}}, metrics.images.remove);
    text.histogram({{"action", "load"}}, metrics.images.load);
    text.histogram({{"action", "pull"}}, metrics.images.pull);
    text.histogram({{"action", "push"}}, metrics.images.push);
    text.counter(
        "engine_daemon_health_checks_total",
        "The total number of health checks",
        as_number(metrics.health_checks));
    text.counter(
        "engine_daemon_health_checks_failed_total",
        "The total number of failed health checks",
        as_number(metrics.health_checks_failed));
}

void add_builds(MetricsText& text, const engine::Metrics& metrics) {
    text.family("builder_builds_failed_total", "counter", "Number of failed image builds");
    for (std::size_t i = 0; i < metrics.builds_failed.size(); ++i) {
        text.sample(
            {{"reason", std::string(engine::Metrics::build_failures[i])}},
            as_number(metrics.builds_failed[i]));
    }
    text.counter(
        "builder_builds_triggered_total",
        "Number of triggered image builds",
        as_number(metrics.builds_triggered));
}

void add_state(MetricsText& text, engine::Engine& engine) {
    const auto info = engine.system().info();
    const engine::SystemVersion version = engine.system().version();
    if (!info.ok()) {
        return; // of a database that cannot be read: the rest is still worth having
    }
    text.family(
        "engine_daemon_container_states_containers",
        "gauge",
        "The count of containers in various states");
    text.sample({{"state", "paused"}}, static_cast<double>(info->containers_paused));
    text.sample({{"state", "running"}}, static_cast<double>(info->containers_running));
    text.sample({{"state", "stopped"}}, static_cast<double>(info->containers_stopped));
    text.gauge(
        "engine_daemon_engine_cpus_cpus",
        "The number of cpus that the host system of the engine has",
        static_cast<double>(info->cpus));
    text.family(
        "engine_daemon_engine_info",
        "gauge",
        "The information related to the engine and the OS it is running on");
    text.sample(
        {{"architecture", info->architecture},
         {"commit", version.git_commit},
         {"daemon_id", info->id},
         {"graphdriver", info->driver},
         {"kernel", info->kernel_version},
         {"os", info->operating_system},
         {"os_type", info->os_type},
         {"os_version", info->os_version},
         {"version", version.server_version}},
        1);
    text.gauge(
        "engine_daemon_engine_memory_bytes",
        "The number of bytes of memory that the host system of the engine has",
        static_cast<double>(info->memory_total));
    text.gauge(
        "engine_daemon_events_subscribers_total",
        "The number of current subscribers to events",
        as_number(engine.events().listener_count()));
    text.counter(
        "engine_daemon_events_total",
        "The number of events logged",
        as_number(engine.events().published()));
    text.gauge(
        "engine_daemon_images_images", "The count of images", static_cast<double>(info->images));
}

// The third and later fields of /proc/self/stat.
std::vector<std::string> process_fields() {
    const auto stat = read_file("/proc/self/stat");
    const std::size_t end = stat.ok() ? stat->rfind(") ") : std::string::npos;
    std::vector<std::string> fields;
    if (end != std::string::npos) {
        const std::string_view text = *stat;
        for (const std::string_view field : split(trim(text.substr(end + 2)), ' ')) {
            fields.emplace_back(field);
        }
    }
    return fields;
}

double boot_time() {
    timespec now{};
    timespec since_boot{};
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    return static_cast<double>(now.tv_sec - since_boot.tv_sec) +
           static_cast<double>(now.tv_nsec - since_boot.tv_nsec) / 1e9;
}

// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
void add_process(MetricsText& text) {
    const std::vector<std::string> fields = process_fields();
    constexpr std::size_t start_time = 19; // field 22
    constexpr std::size_t virtual_size = 20;
    constexpr std::size_t resident_pages = 21;
    if (fields.size() <= resident_pages) {
        return;
    }
    const auto field = [&fields](std::size_t index) {
        return as_number(parse_number<std::uint64_t>(fields[index]).value_or(0));
    };
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    text.counter(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        seconds(usage.ru_utime) + seconds(usage.ru_stime));
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    text.gauge(
        "process_max_fds", "Maximum number of open file descriptors.", as_number(files.rlim_cur));
    const auto open = list_directory("/proc/self/fd");
    text.gauge(
        "process_open_fds",
        "Number of open file descriptors.",
        as_number(open.ok() ? open->size() : 0));
    text.gauge(
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
        field(resident_pages) * static_cast<double>(sysconf(_SC_PAGESIZE)));
    text.gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        boot_time() + field(start_time) / static_cast<double>(sysconf(_SC_CLK_TCK)));
    text.gauge(
        "process_virtual_memory_bytes", "Virtual memory size in bytes.", field(virtual_size));
}

} // namespace

void Metrics::count(const http::Answered& answered) {
    const auto found = std::ranges::find(methods, answered.method);
    const std::size_t method = std::min<std::size_t>(
        static_cast<std::size_t>(found - methods.begin()), methods.size() - 1);
    const std::size_t status = answered.status / 100 < classes ? answered.status / 100 : 0;
    requests_[method][status].fetch_add(1, std::memory_order_relaxed);
    durations_[method].observe(answered.duration);
}

std::string Metrics::text(engine::Engine& engine) const {
    MetricsText text;
    text.family(
        "engine_api_requests_total", "counter", "The number of API requests that were answered");
    for (std::size_t method = 0; method < methods.size(); ++method) {
        for (std::size_t status = 0; status < classes; ++status) {
            const std::uint64_t count = requests_[method][status];
            if (count > 0) {
                text.sample(
                    {{"method", std::string(methods[method])},
                     {"status", status == 0 ? "none" : std::to_string(status) + "xx"}},
                    as_number(count));
            }
        }
    }
    text.family(
        "engine_api_request_duration_seconds",
        "histogram",
        "The number of seconds from an API request's head until its handler is done");
    for (std::size_t method = 0; method < methods.size(); ++method) {
        text.histogram({{"method", std::string(methods[method])}}, durations_[method]);
    }
    add_builds(text, engine.metrics());
    add_actions(text, engine.metrics());
    add_state(text, engine);
    add_process(text);
    return text.take();
}

http::Handler Metrics::handler(engine::Engine& engine) {
    return [this, &engine](
               std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& out) {
        const bool is_wanted =
            request.path == "/metrics" && (request.method == "GET" || request.method == "HEAD");
        [[maybe_unused]] auto sent =
            is_wanted ? out.respond(200, {{"Content-Type", text_type}}, text(engine))
                      : out.respond(404, {{"Content-Type", "text/plain"}}, "404 page not found\n");
    };
}

} // namespace berth::api
