// SPDX-License-Identifier: Apache-2.0
// kill, pause, resume.
#include "runtime/command_line/commands.h"
#include "runtime/command_line/signals.h"
#include "runtime/container.h"

#include <algorithm>
#include <csignal>

namespace berth::runtime::command_line {

namespace {

Result<Container> load_named(const Globals& globals, const Flags& flags) {
    std::string id = TRY(flags.container_id());
    return Container::load(globals.root, id);
}

// The kernel kills a pid namespace with its init; without one of their own the others would stay.
Result<bool> shares_pid_namespace(const Container& container) {
    const oci::RuntimeConfig& config = *TRY(container.load_config());
    const auto& namespaces = config.linux_.namespaces;
    return std::none_of(namespaces.begin(), namespaces.end(), [](const oci::Namespace& entry) {
        return entry.type == "pid" && entry.path.empty();
    });
}

} // namespace

Result<int> kill(const Globals& globals, const Flags& flags) {
    std::string id = TRY(flags.container_id());
    int signal = TRY(parse_signal(flags.rest().size() > 1 ? flags.rest()[1] : "TERM"));
    Container container = TRY(Container::load(globals.root, id));
    if (flags.is_set("all")) {
        // runc: with --all a container that has stopped is no error.
        TRY(container.kill_all(signal));
        return 0;
    }
    TRY(container.kill(signal));
    if (signal == SIGKILL && container.cgroup().exists() &&
        shares_pid_namespace(container).value_or(false)) {
        TRY(container.kill_all(signal));
    }
    return 0;
}

Result<int> pause(const Globals& globals, const Flags& flags) {
    Container container = TRY(load_named(globals, flags));
    TRY(container.pause());
    return 0;
}

Result<int> resume(const Globals& globals, const Flags& flags) {
    Container container = TRY(load_named(globals, flags));
    TRY(container.resume());
    return 0;
}

} // namespace berth::runtime::command_line
