// SPDX-License-Identifier: Apache-2.0
// Instructions that change the configuration. What they write into the history is what moby's
// builder/dockerfile/dispatchers.go writes.
#include "base/strings.h"
#include "base/time.h"
#include "build/stage_executor.h"

#include <algorithm>
#include <csignal>
#include <cstring>

namespace berth::build {

namespace {

constexpr std::uint32_t port_range_limit = 65535;

// Go's %q of a slice: ["sh" "-c" "x"]
std::string quoted_list(const std::vector<std::string>& words) {
    std::vector<std::string> quoted;
    for (const std::string& word : words) {
        quoted.push_back("\"" + replace_all(replace_all(word, "\\", "\\\\"), "\"", "\\\"") + "\"");
    }
    return "[" + join(quoted, " ") + "]";
}

// Go's %v of a slice: [a b]
std::string plain_list(const std::vector<std::string>& words) {
    return "[" + join(words, " ") + "]";
}

void set_variable(
    std::vector<std::string>& env, const std::string& name, const std::string& value) {
    const std::string prefix = name + "=";
    const auto found = std::find_if(env.begin(), env.end(), [&prefix](const std::string& entry) {
        return entry.starts_with(prefix);
    });
    if (found == env.end()) {
        env.push_back(prefix + value);
    } else {
        *found = prefix + value;
    }
}

bool is_signal(std::string_view text) {
    if (const auto number = parse_number<int>(text); number.ok()) {
        return *number > 0 && *number <= SIGRTMAX;
    }
    std::string name = to_upper(text);
    if (name.starts_with("SIG")) {
        name.erase(0, 3);
    }
    if (name.starts_with("RTMIN") || name.starts_with("RTMAX")) {
        const std::string rest = name.substr(5);
        return rest.empty() || ((rest[0] == '+' || rest[0] == '-') &&
                                parse_number<int>(std::string_view(rest).substr(1)).ok());
    }
    for (int number = 1; number < 32; ++number) {
        if (const char* known = ::sigabbrev_np(number); known != nullptr && name == known) {
            return true;
        }
    }
    return name == "IOT" || name == "POLL" || name == "CLD";
}

// "80", "80/udp", "8000-8010/tcp" as "80/tcp", …
Result<void> add_ports(const std::string& text, std::map<std::string, json::Empty>& ports) {
    const auto parts = cut(text, "/");
    const std::string_view range = parts ? parts->before : std::string_view(text);
    const std::string protocol = parts ? to_lower(parts->after) : "tcp";
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
        return invalid_argument("invalid proto: " + protocol);
    }
    const auto ends = cut(range, "-");
    const auto first = parse_number<std::uint32_t>(ends ? ends->before : range);
    const auto last = parse_number<std::uint32_t>(ends ? ends->after : range);
    if (!first.ok() || !last.ok() || *last < *first || *last > port_range_limit) {
        return invalid_argument("invalid containerPort: " + std::string(range));
    }
    for (std::uint32_t port = *first; port <= *last; ++port) {
        ports[std::to_string(port) + "/" + protocol] = {};
    }
    return ok();
}

Result<std::int64_t> health_interval(const Instruction& instruction, const std::string& flag) {
    const std::string_view text = instruction.flag(flag);
    if (text.empty()) {
        return std::int64_t{0};
    }
    const std::chrono::nanoseconds value = TRY(parse_duration(text));
    if (value.count() != 0 && value < std::chrono::milliseconds(1)) {
        return invalid_argument("Interval \"" + flag + "\" cannot be less than 1ms");
    }
    return value.count();
}

} // namespace

Result<void> StageExecutor::run_arg(const Instruction& instruction) {
    std::vector<std::string> shown;
    for (const Assignment& argument : instruction.assignments) {
        const std::string name = TRY(expand(argument.name));
        job_.use_argument(name);
        std::optional<std::string> value;
        if (argument.value) {
            value = TRY(expand(*argument.value));
        }
        shown.push_back(value ? name + "=" + *value : name);
        const auto given = job_.request().build_args.find(name);
        const auto global = job_.global_args().find(name);
        if (given != job_.request().build_args.end() && given->second) {
            value = *given->second;
        } else if (!value && global != job_.global_args().end()) {
            value = global->second;
        }
        if (value) {
            state_.args[name] = *value;
        }
    }
    return commit_metadata(" ARG " + join(shown, " "));
}

Result<void> StageExecutor::run_cmd(const Instruction& instruction) {
    std::vector<std::string> command = instruction.arguments;
    if (!instruction.is_json && !command.empty()) {
        const std::vector<std::string> before = shell();
        command.insert(command.begin(), before.begin(), before.end());
    }
    state_.image.config.cmd = command;
    state_.image.config.args_escaped = false;
    TRY(commit_metadata(" CMD " + quoted_list(command)));
    state_.cmd_set = true;
    return ok();
}

Result<void> StageExecutor::run_entrypoint(const Instruction& instruction) {
    std::vector<std::string> command = instruction.arguments;
    if (!instruction.is_json && !command.empty()) {
        const std::vector<std::string> before = shell();
        command.insert(command.begin(), before.begin(), before.end());
    }
    state_.image.config.entrypoint = command;
    // The base image's CMD was meant for the base image's entry point.
    if (!state_.cmd_set) {
        state_.image.config.cmd.clear();
    }
    return commit_metadata(" ENTRYPOINT " + quoted_list(command));
}

Result<void> StageExecutor::run_env(const Instruction& instruction) {
    // All values see the environment as it was before this line.
    std::vector<std::pair<std::string, std::string>> pairs;
    std::string comment = " ENV";
    for (const Assignment& assignment : instruction.assignments) {
        std::string name = TRY(expand(assignment.name));
        std::string value = TRY(expand(assignment.value.value_or("")));
        if (name.empty()) {
            return invalid_argument("ENV names can not be blank");
        }
        comment += " " + name + "=" + value;
        pairs.emplace_back(std::move(name), std::move(value));
    }
    for (const auto& [name, value] : pairs) {
        set_variable(state_.image.config.env, name, value);
    }
    return commit_metadata(comment);
}

Result<void> StageExecutor::run_label(const Instruction& instruction) {
    std::string comment = " LABEL";
    for (const Assignment& assignment : instruction.assignments) {
        const std::string name = TRY(expand(assignment.name));
        const std::string value = TRY(expand(assignment.value.value_or("")));
        if (name.empty()) {
            return invalid_argument("LABEL names can not be blank");
        }
        comment += " " + name + "=" + value;
        state_.image.config.labels[name] = value;
    }
    return commit_metadata(comment);
}

Result<void> StageExecutor::run_expose(const Instruction& instruction) {
    std::vector<std::string> shown;
    for (const std::string& argument : instruction.arguments) {
        for (const std::string& port : TRY(expand_words(argument, variables(), job_.escape()))) {
            TRY(add_ports(port, state_.image.config.exposed_ports));
            shown.push_back(port);
        }
    }
    std::sort(shown.begin(), shown.end());
    return commit_metadata(" EXPOSE " + join(shown, " "));
}

Result<void> StageExecutor::run_health_check(const Instruction& instruction) {
    oci::HealthConfig health;
    health.test = instruction.arguments;
    if (health.test[0] == "CMD" && !instruction.is_json) {
        health.test[0] = "CMD-SHELL";
    }
    health.interval = TRY(health_interval(instruction, "interval"));
    health.timeout = TRY(health_interval(instruction, "timeout"));
    health.start_period = TRY(health_interval(instruction, "start-period"));
    health.start_interval = TRY(health_interval(instruction, "start-interval"));
    if (const std::string_view text = instruction.flag("retries"); !text.empty()) {
        health.retries = TRY(parse_number<int>(text));
        if (health.retries < 0) {
            return invalid_argument(
                "--retries cannot be negative (" + std::to_string(health.retries) + ")");
        }
    }
    const std::string comment = " HEALTHCHECK " + json::encode_text(health);
    state_.image.config.healthcheck = std::move(health);
    return commit_metadata(comment);
}

Result<void> StageExecutor::run_stop_signal(const Instruction& instruction) {
    const std::string signal = TRY(expand(instruction.arguments[0]));
    if (!is_signal(signal)) {
        return invalid_argument("invalid signal: " + signal);
    }
    state_.image.config.stop_signal = signal;
    return commit_metadata(" STOPSIGNAL " + signal);
}

Result<void> StageExecutor::run_volume(const Instruction& instruction) {
    std::vector<std::string> volumes;
    for (const std::string& argument : instruction.arguments) {
        const std::string volume = TRY(expand(argument));
        if (trim(volume).empty()) {
            return invalid_argument("VOLUME specified can not be an empty string");
        }
        state_.image.config.volumes[volume] = {};
        volumes.push_back(volume);
    }
    return commit_metadata(" VOLUME " + plain_list(volumes));
}

Result<void> StageExecutor::run_text(const Instruction& instruction) {
    const std::string& text = instruction.arguments[0];
    auto& config = state_.image.config;
    if (instruction.keyword == Keyword::Shell) {
        config.shell = instruction.arguments;
        return commit_metadata(" SHELL " + plain_list(instruction.arguments));
    }
    if (instruction.keyword == Keyword::OnBuild) {
        config.on_build.push_back(text);
        return commit_metadata(" ONBUILD " + text);
    }
    const std::string value = TRY(expand(text));
    if (instruction.keyword == Keyword::User) {
        config.user = value;
    } else {
        state_.image.author = value;
    }
    return commit_metadata(" " + std::string(to_string(instruction.keyword)) + " " + value);
}

} // namespace berth::build
