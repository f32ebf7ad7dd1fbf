// SPDX-License-Identifier: Apache-2.0
// docker stats: a sample a second. One thread serves every client, and sleeps when there is none.
#include "api/stats_stream.h"

#include "base/log.h"

#include <chrono>
#include <exception>

namespace berth::api {

namespace {

// Of Docker's members those that are zero or empty are left out where Go's omitempty does it.
void add_unless_zero(json::Object& object, std::string_view name, std::uint64_t value) {
    if (value != 0) {
        object[name] = value;
    }
}

json::Object encode_cpu(const engine::ContainerStats& stats) {
    json::Object usage{{"total_usage", stats.cpu_total}};
    if (!stats.cpu_per_cpu.empty()) {
        usage["percpu_usage"] = json::encode(stats.cpu_per_cpu);
    }
    usage["usage_in_kernelmode"] = stats.cpu_kernel;
    usage["usage_in_usermode"] = stats.cpu_user;
    json::Object object{{"cpu_usage", std::move(usage)}};
    add_unless_zero(object, "system_cpu_usage", stats.system_cpu);
    add_unless_zero(object, "online_cpus", stats.online_cpus);
    object["throttling_data"] = json::Object{
        {"periods", stats.periods},
        {"throttled_periods", stats.throttled_periods},
        {"throttled_time", stats.throttled_time}};
    return object;
}

json::Object encode_networks(const engine::ContainerStats& stats) {
    json::Object networks;
    for (const auto& [name, network] : stats.networks) {
        networks[name] = json::Object{
            {"rx_bytes", network.rx_bytes},
            {"rx_packets", network.rx_packets},
            {"rx_errors", network.rx_errors},
            {"rx_dropped", network.rx_dropped},
            {"tx_bytes", network.tx_bytes},
            {"tx_packets", network.tx_packets},
            {"tx_errors", network.tx_errors},
            {"tx_dropped", network.tx_dropped}};
    }
    return networks;
}

json::Object encode_memory(const engine::ContainerStats& stats) {
    json::Object details;
    for (const auto& [name, value] : stats.memory_stats) {
        details[name] = value;
    }
    json::Object object;
    add_unless_zero(object, "usage", stats.memory_usage);
    add_unless_zero(object, "max_usage", stats.memory_max_usage);
    if (!details.empty()) {
        object["stats"] = std::move(details);
    }
    add_unless_zero(object, "failcnt", stats.memory_fail_count);
    add_unless_zero(object, "limit", stats.memory_limit);
    return object;
}

json::Array encode_block_entries(const std::vector<engine::ContainerStats::BlockEntry>& entries) {
    json::Array array;
    for (const auto& entry : entries) {
        array.push_back(json::Object{
            {"major", entry.major},
            {"minor", entry.minor},
            {"op", entry.operation},
            {"value", entry.value}});
    }
    return array;
}

// The last six are those of a scheduler that is no more. Docker has lists of nothing with version
// 1, and Go's nil slices elsewhere.
json::Object encode_block_io(const engine::ContainerStats& stats) {
    const bool is_version1 = !stats.cpu_per_cpu.empty();
    const json::Value nothing = is_version1 ? json::Value(json::Array()) : json::Value(nullptr);
    const auto list = [&nothing](const std::vector<engine::ContainerStats::BlockEntry>& entries) {
        return entries.empty() ? nothing : json::Value(encode_block_entries(entries));
    };
    json::Object object{
        {"io_service_bytes_recursive", list(stats.block_bytes)},
        {"io_serviced_recursive", list(stats.block_operations)}};
    for (const char* name :
         {"io_queue_recursive",
          "io_service_time_recursive",
          "io_wait_time_recursive",
          "io_merged_recursive",
          "io_time_recursive",
          "sectors_recursive"}) {
        object[name] = nothing;
    }
    return object;
}

} // namespace

json::Value encode_stats(const engine::ContainerStats& now, const engine::ContainerStats* before) {
    const engine::ContainerStats nothing;
    const engine::ContainerStats& previous = before == nullptr ? nothing : *before;
    json::Object object{
        {"name", now.name},
        {"id", now.id},
        {"read", format_rfc3339(now.read)},
        {"preread", format_rfc3339(previous.read)},
        {"num_procs", 0},
        {"os_type", "linux"},
        {"storage_stats", json::Object{}},
        {"blkio_stats", encode_block_io(now)},
        {"cpu_stats", encode_cpu(now)},
        {"precpu_stats", encode_cpu(previous)},
        {"memory_stats", now.running ? encode_memory(now) : json::Object{}}};
    json::Object pids;
    if (now.running) {
        pids["current"] = now.pids_current;
        if (now.pids_limit != 0) {
            pids["limit"] = now.pids_limit;
        }
    }
    object["pids_stats"] = std::move(pids);
    if (!now.networks.empty()) {
        object["networks"] = encode_networks(now);
    }
    return object;
}

StatsPublisher::~StatsPublisher() {
    thread_.request_stop();
    changed_.notify_all();
}

void StatsPublisher::add(
    engine::Containers& containers,
    std::string container,
    std::shared_ptr<http::Stream> stream,
    Mode mode) {
    Client client{&containers, std::move(container), std::move(stream), mode, {}};
    if (!serve(client)) {
        return;
    }
    const std::lock_guard lock(mutex_);
    clients_.push_back(std::move(client));
    if (!thread_.joinable()) {
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
    changed_.notify_all();
}

bool StatsPublisher::serve(Client& client) {
    if (client.stream->closed()) {
        return false;
    }
    auto sample = client.containers->stats(client.container);
    if (!sample.ok()) {
        client.stream->finish();
        return false;
    }
    // Clients measure against the sample before: a single answer waits until there is one.
    const bool speaks = client.mode == Mode::Stream || client.previous || !sample->running;
    if (speaks) {
        const auto* previous = client.previous ? &*client.previous : nullptr;
        client.stream->send(json::serialize(encode_stats(*sample, previous)) + "\n");
    }
    if (speaks && client.mode == Mode::OnePair) {
        client.stream->finish();
        return false;
    }
    client.previous = std::move(sample).value();
    return true;
}

void StatsPublisher::run(const std::stop_token& stop) {
    constexpr std::chrono::seconds period(1);
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        changed_.wait(lock, stop, [this] { return !clients_.empty(); });
        // The second between two samples; only a stop ends it sooner.
        changed_.wait_for(lock, stop, period, [] { return false; });
        std::list<Client> round;
        round.swap(clients_);
        lock.unlock();
        round.remove_if([](Client& client) {
            try {
                return !serve(client);
            } catch (const std::exception& exception) {
                log::error("stats failed", {{"what", exception.what()}});
                return true;
            }
        });
        lock.lock();
        clients_.splice(clients_.end(), round);
    }
}

Result<void> stream_stats(Context& context) {
    auto& containers = context.engine().containers();
    const std::string id = TRY(containers.resolve(context.parameter()));
    const bool one_shot = !context.before(41) && context.flag("one-shot");
    if (context.flag("stream", true) && one_shot) {
        return invalid_argument("cannot have stream=true and one-shot=true");
    }
    if (one_shot) {
        const auto sample = TRY(containers.stats(id));
        return context.reply(200, encode_stats(sample, nullptr));
    }
    const auto mode =
        context.flag("stream", true) ? StatsPublisher::Mode::Stream : StatsPublisher::Mode::OnePair;
    auto stream = TRY(context.response().into_stream(
        200, json_headers(), {.slow_reader = http::SlowReader::DropOldest}));
    context.stats().add(containers, id, std::move(stream), mode);
    return ok();
}

} // namespace berth::api
