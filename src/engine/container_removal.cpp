// SPDX-License-Identifier: Apache-2.0
// Removal and update. The row goes first, then everybody is told, and the files go behind: what a
// crash leaves without a row is swept at the next start.
#include "base/log.h"
#include "base/random.h"
#include "engine/config_check.h"
#include "engine/container_control.h"
#include "engine/container_files.h"
#include "engine/container_logs.h"
#include "engine/container_mounts.h"
#include "engine/exec_table.h"
#include "engine/link_renewal.h"
#include "engine/resource_check.h"
#include "engine/resource_support.h"
#include "engine/runtime_spec.h"

#include <cstdio>

namespace berth::engine {

Result<void>
ContainerControl::begin_remove(const ContainerPtr& container, const std::string& name, bool force) {
    bool is_running = false;
    {
        auto state = container->state.lock();
        const ContainerStatus status = state->life.state.status;
        if (state->removed) {
            return not_found("No such container: " + container->id);
        }
        is_running = state->life.state.is_running();
        if (is_running && !force) {
            return conflict(
                "cannot remove container \"" + name + "\": container is " +
                (status == ContainerStatus::Paused
                     ? "paused and must be unpaused first"
                     : "running: stop the container before removing or force remove"));
        }
        if (status == ContainerStatus::Restarting && !force) {
            return conflict(
                "cannot remove container \"" + name +
                "\": container is restarting: stop the container before removing or force remove");
        }
        state->life.stopped_by_user = true;
    }
    runner_.cancel_restart(*container);
    if (is_running) {
        auto killed = kill_and_wait(container);
        if (!killed.ok()) {
            return std::move(killed).error().with_context(
                "cannot remove container \"" + name + "\": could not kill container");
        }
    }
    auto state = container->state.lock();
    if (state->removed) {
        return not_found("No such container: " + container->id);
    }
    state->life.state.status = ContainerStatus::Removing;
    return ok();
}

Result<void> ContainerControl::remove(const ContainerPtr& container, const RemoveOptions& options) {
    if (options.link) {
        return remove_link(core_, options.asked_as);
    }
    // Errors name the container as its user did.
    const std::string& name = options.asked_as.empty() ? container->id : options.asked_as;
    const std::unique_lock operation(container->operation, std::try_to_lock);
    if (!operation.owns_lock() && !options.force) {
        if (view_of(*container).life.state.status == ContainerStatus::Removing) {
            return conflict("removal of container " + name + " is already in progress");
        }
    }
    std::unique_lock<std::mutex> waited;
    if (!operation.owns_lock()) {
        if (options.force) {
            container->state.lock()->start_stop.request_stop();
        }
        waited = std::unique_lock(container->operation);
    }
    TRY(begin_remove(container, name, options.force));
    const ContainerView view = view_of(*container);
    const ContainerDefinition& definition = *view.definition;
    auto erased = core_.table->remove(container->id);
    if (!erased.ok()) {
        container->state.lock()->life.state.status = ContainerStatus::Dead;
        return std::move(erased).error().with_context("cannot remove container \"" + name + "\"");
    }
    core_.index.remove(container->id);
    execs_.forget_container(container->id);
    runner_.logs().forget(container->id);
    ContainerMounts(core_).remove(
        definition, options.volumes ? AnonymousVolumes::Remove : AnonymousVolumes::Keep);
    std::vector<ExitCallback> waiting;
    std::vector<monitor::AttachRequest> parked;
    {
        auto state = container->state.lock();
        state->removed = true;
        waiting = take_waiters(*state, true);
        parked = std::move(state->parked);
    }
    core_.publish(definition, "destroy");
    for (const ExitCallback& callback : waiting) {
        callback({.exit_code = view.life.state.exit_code, .error = {}});
    }
    core_.in_background([this, container] { delete_behind(*container); });
    return ok();
}

void ContainerControl::delete_behind(LiveContainer& container) {
    runner_.see_off(container);
    const std::shared_ptr<const ContainerDefinition> held = view_of(container).definition;
    const ContainerDefinition& definition = *held;
    const auto complain = [&definition](const Result<void>& done) {
        if (!done.ok()) {
            log::warn(
                "files of a removed container stay until the next start, ignoring",
                {{"id", definition.id}, {"error", done.error().message()}});
        }
    };
    if (definition.host_config.ipc_mode == "shareable") {
        unmount_shared_memory(core_, definition.id); // the end of its run may not be there yet
    }
    complain(core_.store->layers().remove_writable(definition.id));
    complain(remove_tree(core_.directory(definition.id)));
    complain(remove_tree(core_.run_directory(definition.id)));
    core_.selinux->release(definition.process_label); // its files are gone, too
    // An image that was removed before its last container leaves its layers.
    if (const auto image = core_.store->images().find(definition.image_id);
        image.ok() && !image->has_value()) {
        core_.collector->request();
    }
}

Result<std::vector<std::string>>
ContainerControl::update(const ContainerPtr& container, const UpdateRequest& request) {
    const std::lock_guard operation(container->operation);
    const ContainerView view = view_of(*container);
    auto changed = std::make_shared<ContainerDefinition>(*view.definition);
    HostConfig& host = changed->host_config;
    const HostConfig& asked = request.resources;
    if (request.restart_policy && !request.restart_policy->name.empty()) {
        TRY(check_restart_policy(*request.restart_policy, false));
    }
    TRY_CONTEXT(check_update(host, asked), "Cannot update container " + container->id);
    if (request.restart_policy && !request.restart_policy->name.empty()) {
        host.restart_policy = *request.restart_policy;
    }
    static constexpr std::int64_t HostConfig::*numbers[] = {
        &HostConfig::cpu_shares,
        &HostConfig::memory,
        &HostConfig::memory_swap,
        &HostConfig::memory_reservation,
        &HostConfig::nano_cpus,
        &HostConfig::cpu_period,
        &HostConfig::cpu_quota,
        &HostConfig::cpu_realtime_period,
        &HostConfig::cpu_realtime_runtime};
    bool resources_change = false;
    for (auto member : numbers) {
        if (asked.*member != 0) {
            host.*member = asked.*member;
            resources_change = true;
        }
    }
    for (auto member : {&HostConfig::cpuset_cpus, &HostConfig::cpuset_mems}) {
        if (!(asked.*member).empty()) {
            host.*member = asked.*member;
            resources_change = true;
        }
    }
    if (asked.pids_limit) {
        host.pids_limit = asked.pids_limit;
        resources_change = true;
    }
    if (asked.blkio_weight != 0) {
        host.blkio_weight = asked.blkio_weight;
        resources_change = true;
    }
    std::vector<std::string> warnings = discard_impossible(host);
    const std::vector<std::string> more = TRY(check_resources(host));
    warnings.insert(warnings.end(), more.begin(), more.end());
    if (resources_change && view.life.state.is_running()) {
        auto client = TRY(running_monitor(*container));
        const std::string resources = TRY(linux_resources(host));
        if (auto set = client->update(resources); !set.ok()) {
            return named_refusal(std::move(set).error(), host)
                .with_context("Cannot update container " + container->id);
        }
    }
    TRY(core_.table->update_definition(*changed));
    container->state.lock()->definition = changed;
    core_.publish(*changed, "update");
    return warnings;
}

} // namespace berth::engine
