// SPDX-License-Identifier: Apache-2.0
// Paths and small services of the core.
#include "engine/core.h"

#include "base/log.h"

#include <future>

#include <fcntl.h>
#include <sys/un.h>

namespace berth::engine {
namespace {

constexpr std::size_t socket_path_limit = sizeof(sockaddr_un::sun_path) - 1;
constexpr std::string_view socket_prefix = "/containers/";
constexpr std::string_view socket_suffix = "/monitor.sock";
// 64 random bits: two containers of one engine do not meet.
constexpr std::size_t shortest_id = 16;

void submit_to(WorkerPool& pool, const std::function<void()>& job) {
    if (auto submitted = pool.submit(job); !submitted.ok()) {
        log::warn("background queue is full, running in place");
        job();
    }
}

} // namespace

Result<void> check_exec_root(const std::string& exec_root) {
    const std::size_t fixed = exec_root.size() + socket_prefix.size() + socket_suffix.size();
    if (fixed + shortest_id > socket_path_limit) {
        return invalid_argument(
            "the exec root \"" + exec_root + "\" is too long for the sockets below it: at most " +
            std::to_string(
                socket_path_limit - shortest_id - socket_prefix.size() - socket_suffix.size()) +
            " bytes");
    }
    return ok();
}

std::string Core::directory(const std::string& id) const {
    return config().data_root + "/containers/" + id;
}

std::string Core::run_directory(const std::string& id) const {
    const std::size_t fixed =
        config().exec_root.size() + socket_prefix.size() + socket_suffix.size();
    return config().exec_root + std::string(socket_prefix) +
           id.substr(0, socket_path_limit - fixed);
}

void Core::close() {
    stopping = true;
    closed = true;
    // One round of the loop: whatever it was handing to the pools is there, nothing more comes.
    std::promise<void> passed;
    loop().post([this, &passed] {
        log_watch.reset(); // in the loop's thread, as it wants
        passed.set_value();
    });
    passed.get_future().wait();
    probes->wait_idle();
    background->wait_idle();
    starts->wait_idle();
    background->wait_idle(); // what the last starts have left to be done
}

void Core::in_background(const std::function<void()>& job) {
    if (!closed) {
        submit_to(*background, job);
    }
}

void Core::in_starts(const std::function<void()>& job) {
    if (!closed) {
        submit_to(*starts, job);
    }
}

void Core::after(std::chrono::milliseconds delay, std::function<void()> job) {
    if (closed) {
        return;
    }
    loop().post([this, delay, job = std::move(job)]() mutable {
        loop().add_timer(delay, [this, job = std::move(job)] { in_background(job); });
    });
}

void Core::publish(
    const ContainerDefinition& definition, const std::string& action, StringMap extra) {
    Event event{.type = "container", .action = action, .actor_id = definition.id, .time = {}};
    event.attributes = std::move(extra);
    event.attributes.insert(definition.config.labels.begin(), definition.config.labels.end());
    event.attributes.insert_or_assign("image", definition.config.image);
    event.attributes.insert_or_assign("name", definition.name);
    events->publish(std::move(event));
}

void Core::publish_network(
    const ContainerDefinition& definition,
    const std::vector<EndpointState>& endpoints,
    const std::string& action) {
    for (const EndpointState& endpoint : endpoints) {
        auto found = network->find(endpoint.network);
        Event event{.type = "network", .action = action, .actor_id = {}, .time = {}};
        if (found.ok()) {
            const NetworkInspect& info = (*found)->info;
            event.actor_id = info.id;
            event.attributes = {{"name", info.name}, {"type", info.driver}};
        }
        event.attributes.emplace("container", definition.id);
        events->publish(std::move(event));
    }
}

void Core::announce(const ContainerDefinition& definition, const ContainerLife& life) {
    if (life.endpoints.empty()) {
        return;
    }
    const auto netns = open_file("/proc/" + std::to_string(life.state.pid) + "/ns/net", O_RDONLY);
    if (netns.ok()) {
        network->announce(definition, life.endpoints, *netns);
    } else {
        log::warn(
            "a container's names are not announced, ignoring",
            {{"id", definition.id}, {"error", netns.error().message()}});
    }
}

void Core::persist(LiveContainer& container, store::Durability durability) {
    const ContainerLife life = container.state.lock()->life;
    auto written = table->update_life(container.id, life, durability);
    if (!written.ok()) {
        log::error(
            "container state not saved, ignoring",
            {{"id", container.id}, {"error", written.error().message()}});
    }
}

} // namespace berth::engine
