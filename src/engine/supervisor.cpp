// SPDX-License-Identifier: Apache-2.0
// Start and end of the engine, as far as containers go.
#include "engine/supervisor.h"

#include "base/log.h"
#include "engine/boot_order.h"
#include "engine/container_logs.h"
#include "engine/log_config.h"

#include <algorithm>
#include <latch>
#include <set>
#include <thread>

namespace berth::engine {
namespace {

constexpr std::size_t id_length = 64;
constexpr std::chrono::milliseconds return_grace{3000};

// The container that a writable layer belongs to: its own and those of its image mounts. Empty for
// other users of the store, who keep theirs.
std::string container_of_layer(const std::string& name) {
    std::string id = name.substr(0, id_length);
    const bool is_container =
        id.size() == id_length && id.find_first_not_of("0123456789abcdef") == std::string::npos &&
        (name.size() == id_length || name.substr(id_length).starts_with("-image-"));
    return is_container ? id : std::string();
}

} // namespace

// Listed before any request is served: nothing here can be a container on its way.
struct ContainerSupervisor::Leftovers {
    std::vector<std::string> layers;
    std::vector<std::string> paths;
};

struct ContainerSupervisor::Turns {
    Turns(std::vector<ContainerPtr> all, BootOrder boot_order)
        : containers(std::move(all))
        , order(std::move(boot_order)) {}

    std::vector<ContainerPtr> containers;
    Synchronized<BootOrder> order;
};

ContainerSupervisor::Leftovers ContainerSupervisor::find_leftovers() const {
    Leftovers leftovers;
    std::set<std::string> known;
    for (const ContainerPtr& container : core.index.all()) {
        known.insert(container->id);
        known.insert(core.directory(container->id));
        known.insert(core.run_directory(container->id));
    }
    if (auto layers = core.store->layers().list_writable(); layers.ok()) {
        for (const std::string& id : *layers) {
            const std::string container = container_of_layer(id);
            if (!container.empty() && !known.contains(container)) {
                leftovers.layers.push_back(id);
            }
        }
    }
    for (const std::string& root : {core.config().data_root, core.config().exec_root}) {
        const std::string directory = root + "/containers";
        auto names = list_directory(directory);
        for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
            const std::string path = directory + "/" + name;
            if (!known.contains(path)) {
                leftovers.paths.push_back(path);
            }
        }
    }
    return leftovers;
}

Result<void> ContainerSupervisor::restore(std::vector<ContainerRecord> records) {
    runner.set_remove([this](const ContainerPtr& container) {
        auto removed = control.remove(container, {.force = true, .volumes = true});
        if (!removed.ok() && removed.error().kind() != ErrorKind::NotFound) {
            log::warn(
                "container not auto-removed",
                {{"id", container->id}, {"error", removed.error().message()}});
        }
    });
    health.set_unhealthy([this](const ContainerPtr& container, std::uint64_t run) {
        control.end_unhealthy(container, run);
    });
    for (ContainerRecord& record : records) {
        const std::shared_ptr<const ContainerDefinition> definition = record.definition;
        if (auto reserved = core.index.reserve_name(definition->name, definition->id);
            !reserved.ok()) {
            return reserved;
        }
        for (const PlannedMount& mount : definition->mounts) {
            if (mount.point.type == "volume") {
                core.volumes->hold(mount.point.name, definition->id);
            }
        }
        core.selinux->reserve(definition->process_label);
        if (record.life.state.is_running()) {
            runner.mounts().adopt(*definition);
        }
        core.index.add(std::make_shared<LiveContainer>(std::move(record)));
    }
    core.restoring = true;
    reconnect_all();
    core.restoring = false;
    core.in_background([this, leftovers = find_leftovers()] {
        settle_in_order();
        core.volumes->sweep(); // may wait for plugins
        sweep(leftovers);
    });
    return ok();
}

// All at once: each waits for an answer of its monitor, and nobody is served before all are known.
void ContainerSupervisor::reconnect_all() {
    std::vector<ContainerPtr> claimed;
    for (const ContainerPtr& container : core.index.all()) {
        const bool claims_to_run = view_of(*container).life.state.is_running();
        if (claims_to_run || exists(core.socket_path(container->id))) {
            claimed.push_back(container);
        }
    }
    std::latch done(static_cast<std::ptrdiff_t>(claimed.size()));
    for (const ContainerPtr& container : claimed) {
        core.in_background([this, container, &done] {
            runner.reconnect(container);
            done.count_down();
        });
    }
    done.wait();
}

// Each as soon as those that it needs are there.
void ContainerSupervisor::settle_in_order() {
    std::vector<ContainerPtr> containers = core.index.all();
    std::vector<std::shared_ptr<const ContainerDefinition>> definitions;
    definitions.reserve(containers.size());
    for (const ContainerPtr& container : containers) {
        definitions.push_back(view_of(*container).definition);
    }
    auto turns = std::make_shared<Turns>(std::move(containers), BootOrder(definitions));
    settle_each(turns, turns->order.lock()->take_first());
}

void ContainerSupervisor::settle_each(
    const std::shared_ptr<Turns>& turns, const std::vector<std::size_t>& numbers) {
    for (const std::size_t number : numbers) {
        core.in_starts([this, turns, number] {
            settle(turns->containers[number]);
            settle_each(turns, turns->order.lock()->finish(number));
        });
    }
}

// What a container wants of an engine that has just started.
void ContainerSupervisor::settle(const ContainerPtr& container) {
    late_mounts.settle(container);
    const ContainerView view = view_of(*container);
    const bool has_ended = !view.life.state.is_running() && !view.life.state.started_at.is_zero();
    const LogConfig& log = view.definition->host_config.log_config;
    if (has_ended && is_remote_log_driver(log.type)) {
        runner.logs().adopt(*view.definition); // what an engine before has left of its log
        runner.logs().end(*view.definition);
    }
    if (!view.definition->host_config.auto_remove || !has_ended) {
        runner.restart_after_boot(container);
        return;
    }
    // It ended while no engine was there: who waits for its exit code or follows its log is about
    // to come back for them.
    core.after(return_grace, [this, container, run = container->state.lock()->run] {
        runner.logs().when_handed_on(container->id, [this, container, run] {
            if (container->state.lock()->run != run) {
                return; // somebody has started it meanwhile
            }
            auto removed = control.remove(container, {.force = true, .volumes = true});
            if (!removed.ok() && removed.error().kind() != ErrorKind::NotFound) {
                log::warn("container not auto-removed", {{"id", container->id}});
            }
        });
    });
}

void ContainerSupervisor::sweep(const Leftovers& leftovers) {
    const auto report = [](const std::string& what, const Result<void>& done) {
        if (done.ok()) {
            log::info("swept leftover", {{"path", what}});
        } else {
            log::warn(
                "leftover stays, ignoring", {{"path", what}, {"error", done.error().message()}});
        }
    };
    for (const std::string& id : leftovers.layers) {
        report(id, core.store->layers().remove_writable(id));
    }
    for (const std::string& path : leftovers.paths) {
        report(path, remove_tree(path));
    }
}

void ContainerSupervisor::call_starts_off() {
    for (const ContainerPtr& container : core.index.all()) {
        container->state.lock()->start_stop.request_stop();
    }
}

void ContainerSupervisor::stop_all(std::chrono::seconds limit) {
    std::vector<std::thread> threads;
    for (const ContainerPtr& container : core.index.all()) {
        const ContainerView view = view_of(*container);
        if (!view.life.state.is_running()) {
            continue;
        }
        // One thread each, for the time of a stop: they only wait.
        threads.emplace_back([this, container, limit] {
            auto stopped = control.stop_for_shutdown(container, limit);
            if (!stopped.ok()) {
                log::warn(
                    "container not stopped",
                    {{"id", container->id}, {"error", stopped.error().message()}});
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

} // namespace berth::engine
