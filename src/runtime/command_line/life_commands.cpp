// SPDX-License-Identifier: Apache-2.0
// create, run, start, delete.
#include "base/file.h"
#include "runtime/command_line/commands.h"
#include "runtime/command_line/foreground.h"
#include "runtime/command_line/hand_over.h"
#include "runtime/container.h"

namespace berth::runtime::command_line {

namespace {

Result<Container> create_from_flags(const Globals& globals, const Flags& flags, bool detached) {
    const std::string bundle = flags.value("bundle");
    const std::string folder = bundle.empty() ? "." : bundle;
    if (!exists(folder + "/config.json")) {
        return not_found("JSON specification file config.json not found in " + folder);
    }
    std::string id = TRY(flags.container_id());
    Stdio stdio = TRY(Stdio::inherit());
    auto preserved = TRY(preserved_fds(globals, flags));
    CreateOptions options{
        .state_root = globals.root,
        .id = std::move(id),
        .bundle = folder,
        .stdio = std::move(stdio),
        .preserve_fds = preserved,
        .no_new_keyring = flags.is_set("no-new-keyring"),
        .no_pivot = flags.is_set("no-pivot"),
        .systemd_cgroup = globals.systemd_cgroup,
        .cgroup_rights = globals.rootless == Rootless::Auto  ? CgroupRights::Auto
                         : globals.rootless == Rootless::Yes ? CgroupRights::Optional
                                                             : CgroupRights::Required,
        .check_config = [&](const oci::RuntimeConfig& config) {
            return check_console_flags(
                config.process->terminal, detached, flags.value("console-socket"));
        }};
    return Container::create(std::move(options));
}

// Whatever fails after create() must not leave the container behind.
Result<void> or_destroy(Container& container, Result<void> done) {
    if (!done.ok()) {
        [[maybe_unused]] Result<void> destroyed = container.destroy(Container::Force::Yes);
    }
    return done;
}

Result<void> create_container(const Globals& globals, const Flags& flags) {
    Container container = TRY(create_from_flags(globals, flags, true));
    UniqueFd terminal = container.take_terminal();
    return or_destroy(container, hand_over(flags, container.pidfd(), terminal, container.pid()));
}

Result<int> run_to_end(const Globals& globals, const Flags& flags) {
    const bool detached = flags.is_set("detach");
    std::optional<Foreground> foreground;
    if (!detached) {
        foreground = TRY(Foreground::create());
    }
    Container container = TRY(create_from_flags(globals, flags, detached));
    UniqueFd terminal = container.take_terminal();
    if (terminal && !detached) {
        Foreground::match_size(terminal);
    }
    Result<void> started = hand_over(flags, container.pidfd(), terminal, container.pid());
    if (started.ok()) {
        started = container.start();
    }
    TRY(or_destroy(container, std::move(started)));
    if (detached) {
        return 0;
    }
    Result<int> status = foreground->stand_for(container.pid(), std::move(terminal));
    if (!status.ok()) {
        [[maybe_unused]] Result<void> destroyed = container.destroy(Container::Force::Yes);
        return status;
    }
    if (!flags.is_set("keep")) {
        TRY(container.destroy());
    }
    return status;
}

} // namespace

Result<int> create(const Globals& globals, const Flags& flags) {
    TRY_CONTEXT(create_container(globals, flags), "berth-runtime create failed");
    return 0;
}

Result<int> run_container(const Globals& globals, const Flags& flags) {
    return TRY_CONTEXT(run_to_end(globals, flags), "berth-runtime run failed");
}

Result<int> start(const Globals& globals, const Flags& flags) {
    std::string id = TRY(flags.container_id());
    Container container = TRY(Container::load(globals.root, id));
    TRY(container.start());
    return 0;
}

Result<int> remove(const Globals& globals, const Flags& flags) {
    std::string id = TRY(flags.container_id());
    if (flags.is_set("force")) {
        // runc: a forced delete of what is not there is done.
        TRY(Container::remove_by_force(globals.root, id));
        return 0;
    }
    Container container = TRY(Container::load(globals.root, id));
    TRY(container.destroy());
    return 0;
}

} // namespace berth::runtime::command_line
