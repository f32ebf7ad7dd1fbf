// SPDX-License-Identifier: Apache-2.0
// Flags of berth-monitor.
#include "monitor/monitor_options.h"

#include "base/strings.h"

#include <string_view>

namespace berth::monitor {
namespace {

Result<void> apply(MonitorOptions& options, std::string_view name, const std::string& value) {
    const auto log = [&]() -> io::LogOptions& {
        return options.log ? *options.log : options.log.emplace();
    };
    if (name == "--id") {
        options.id = value;
    } else if (name == "--bundle") {
        options.bundle = value;
    } else if (name == "--runtime-root") {
        options.runtime_root = value;
    } else if (name == "--socket") {
        options.socket_path = value;
    } else if (name == "--exit-file") {
        options.exit_path = value;
    } else if (name == "--log-directory") {
        log().directory = value;
    } else if (name == "--log-max-size") {
        log().max_file_size = TRY(parse_number<std::uint64_t>(value));
    } else if (name == "--log-max-files") {
        log().max_files = TRY(parse_number<std::uint32_t>(value));
    } else if (name == "--log-json-file") {
        log().form = io::LogForm::Json;
        log().json_file = value;
    } else if (name == "--control-fd") {
        options.control_fd = TRY(parse_number<int>(value));
    } else if (name == "--listener-fd") {
        options.listener_fd = TRY(parse_number<int>(value));
    } else if (name == "--inherited-fd") {
        options.inherited_fds.push_back(TRY(parse_number<int>(value)));
    } else if (name == "--empty-mounts-fd") {
        options.empty_mounts_fd = TRY(parse_number<int>(value));
    } else {
        return invalid_argument("unknown flag " + std::string(name));
    }
    return ok();
}

bool apply_switch(MonitorOptions& options, std::string_view name) {
    if (name == "--log-wait") {
        if (!options.log) {
            options.log.emplace();
        }
        options.log->backlog = io::LogBacklog::Wait;
    } else if (name == "--systemd-cgroup") {
        options.systemd_cgroup = true;
    } else if (name == "--terminal") {
        options.terminal = true;
    } else if (name == "--open-stdin") {
        options.open_stdin = true;
    } else if (name == "--stdin-once") {
        options.stdin_once = true;
    } else {
        return false;
    }
    return true;
}

} // namespace

std::vector<std::string> to_arguments(const MonitorOptions& options) {
    std::vector<std::string> arguments = {
        "--id",
        options.id,
        "--bundle",
        options.bundle,
        "--runtime-root",
        options.runtime_root,
        "--socket",
        options.socket_path,
        "--exit-file",
        options.exit_path};
    const auto add = [&](const char* name, std::string value) {
        arguments.emplace_back(name);
        arguments.push_back(std::move(value));
    };
    if (options.log) {
        add("--log-directory", options.log->directory);
        add("--log-max-size", std::to_string(options.log->max_file_size));
        add("--log-max-files", std::to_string(options.log->max_files));
        if (options.log->form == io::LogForm::Json) {
            add("--log-json-file", options.log->json_file);
        }
        if (options.log->backlog == io::LogBacklog::Wait) {
            arguments.emplace_back("--log-wait");
        }
    }
    if (options.control_fd) {
        add("--control-fd", std::to_string(*options.control_fd));
    }
    if (options.listener_fd) {
        add("--listener-fd", std::to_string(*options.listener_fd));
    }
    for (const int fd : options.inherited_fds) {
        add("--inherited-fd", std::to_string(fd));
    }
    if (options.empty_mounts_fd) {
        add("--empty-mounts-fd", std::to_string(*options.empty_mounts_fd));
    }
    const auto add_switch = [&](const char* name, bool on) {
        if (on) {
            arguments.emplace_back(name);
        }
    };
    add_switch("--systemd-cgroup", options.systemd_cgroup);
    add_switch("--terminal", options.terminal);
    add_switch("--open-stdin", options.open_stdin);
    add_switch("--stdin-once", options.stdin_once);
    return arguments;
}

Result<MonitorOptions> parse_arguments(std::span<const char* const> arguments) {
    MonitorOptions options;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        arguments = arguments.subspan(1);
        if (apply_switch(options, name)) {
            continue;
        }
        if (arguments.empty()) {
            return invalid_argument("flag " + std::string(name) + " is unknown or has no value");
        }
        TRY_CONTEXT(apply(options, name, arguments.front()), name);
        arguments = arguments.subspan(1);
    }
    if (options.id.empty() || options.bundle.empty() || options.runtime_root.empty() ||
        options.socket_path.empty() || options.exit_path.empty()) {
        return invalid_argument("needs --id, --bundle, --runtime-root, --socket and --exit-file");
    }
    if (options.log && (options.log->directory.empty() || options.log->max_files == 0)) {
        return invalid_argument("the log needs --log-directory and at least one file");
    }
    return options;
}

} // namespace berth::monitor
