// SPDX-License-Identifier: Apache-2.0
// What each instruction writes into the history is what moby's builder/dockerfile/dispatchers.go
// writes.
#include "build/config_instructions.h"

#include "base/strings.h"
#include "base/time.h"

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

class ConfigEditor {
  public:
    ConfigEditor(ConfigDraft draft, const Variables& variables, char escape)
        : config_(draft.config)
        , cmd_set_(draft.cmd_set)
        , variables_(variables)
        , escape_(escape) {}

    Result<std::string> apply(const Instruction& instruction) {
        switch (instruction.keyword) {
        case Keyword::Cmd:
            return set_command(instruction);
        case Keyword::Entrypoint:
            return set_entrypoint(instruction);
        case Keyword::Env:
            return set_environment(instruction);
        case Keyword::Expose:
            return add_exposed(instruction);
        case Keyword::Healthcheck:
            return set_health_check(instruction);
        case Keyword::Label:
            return set_labels(instruction);
        case Keyword::OnBuild:
            config_.on_build.push_back(instruction.arguments[0]);
            return " ONBUILD " + instruction.arguments[0];
        case Keyword::Shell:
            config_.shell = instruction.arguments;
            return " SHELL " + plain_list(instruction.arguments);
        case Keyword::StopSignal:
            return set_stop_signal(instruction);
        case Keyword::User:
            config_.user = TRY(expand(instruction.arguments[0]));
            return " USER " + config_.user;
        case Keyword::Volume:
            return add_volumes(instruction);
        case Keyword::Workdir:
            return set_directory(instruction);
        case Keyword::Add:
        case Keyword::Arg:
        case Keyword::Copy:
        case Keyword::From:
        case Keyword::Maintainer:
        case Keyword::Run:
            break;
        }
        return internal_error(
            std::string(to_string(instruction.keyword)) + " is no matter of the configuration");
    }

  private:
    Result<std::string> expand(const std::string& text) const {
        return expand_word(text, variables_, escape_);
    }

    std::vector<std::string> command_of(const Instruction& instruction) const {
        std::vector<std::string> command = instruction.arguments;
        if (!instruction.is_json && !command.empty()) {
            const std::vector<std::string> shell = shell_of(config_);
            command.insert(command.begin(), shell.begin(), shell.end());
        }
        return command;
    }

    std::string set_command(const Instruction& instruction) {
        config_.cmd = command_of(instruction);
        config_.args_escaped = false;
        cmd_set_ = true;
        return " CMD " + quoted_list(config_.cmd);
    }

    std::string set_entrypoint(const Instruction& instruction) {
        config_.entrypoint = command_of(instruction);
        // The base image's CMD was meant for the base image's entry point.
        if (!cmd_set_) {
            config_.cmd.clear();
        }
        return " ENTRYPOINT " + quoted_list(config_.entrypoint);
    }

    Result<std::string> set_environment(const Instruction& instruction) {
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
            set_variable(config_.env, name, value);
        }
        return comment;
    }

    Result<std::string> set_labels(const Instruction& instruction) {
        std::string comment = " LABEL";
        for (const Assignment& assignment : instruction.assignments) {
            const std::string name = TRY(expand(assignment.name));
            const std::string value = TRY(expand(assignment.value.value_or("")));
            if (name.empty()) {
                return invalid_argument("LABEL names can not be blank");
            }
            comment += " " + name + "=" + value;
            config_.labels[name] = value;
        }
        return comment;
    }

    Result<std::string> add_exposed(const Instruction& instruction) {
        std::vector<std::string> shown;
        for (const std::string& argument : instruction.arguments) {
            for (const std::string& port : TRY(expand_words(argument, variables_, escape_))) {
                TRY(add_ports(port, config_.exposed_ports));
                shown.push_back(port);
            }
        }
        std::sort(shown.begin(), shown.end());
        return " EXPOSE " + join(shown, " ");
    }

    Result<std::string> set_health_check(const Instruction& instruction) {
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
        config_.healthcheck = std::move(health);
        return comment;
    }

    Result<std::string> set_stop_signal(const Instruction& instruction) {
        const std::string signal = TRY(expand(instruction.arguments[0]));
        if (!is_signal(signal)) {
            return invalid_argument("invalid signal: " + signal);
        }
        config_.stop_signal = signal;
        return " STOPSIGNAL " + signal;
    }

    Result<std::string> add_volumes(const Instruction& instruction) {
        std::vector<std::string> volumes;
        for (const std::string& argument : instruction.arguments) {
            const std::string volume = TRY(expand(argument));
            if (trim(volume).empty()) {
                return invalid_argument("VOLUME specified can not be an empty string");
            }
            config_.volumes[volume] = {};
            volumes.push_back(volume);
        }
        return " VOLUME " + plain_list(volumes);
    }

    Result<std::string> set_directory(const Instruction& instruction) {
        const std::string path = TRY(expand(instruction.arguments[0]));
        config_.working_dir =
            clean_path(path.starts_with('/') ? path : "/" + config_.working_dir + "/" + path);
        return " WORKDIR " + config_.working_dir;
    }

    oci::ContainerDefaults& config_;
    bool& cmd_set_;
    const Variables& variables_;
    char escape_;
};

} // namespace

std::vector<std::string> shell_of(const oci::ContainerDefaults& config) {
    return config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : config.shell;
}

Variables variables_of(const oci::ContainerDefaults& config) {
    Variables variables;
    for (const std::string& entry : config.env) {
        if (const auto pair = cut(entry, "=")) {
            variables[std::string(pair->before)] = pair->after;
        }
    }
    return variables;
}

Result<std::string> apply_to_config(
    const Instruction& instruction, ConfigDraft draft, const Variables& variables, char escape) {
    return ConfigEditor(draft, variables, escape).apply(instruction);
}

} // namespace berth::build
