// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/commit.go (merge) and container/env.go.
#include "engine/config_merge.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::engine {
namespace {

constexpr std::string_view default_path =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string_view variable_name(std::string_view entry) {
    return entry.substr(0, entry.find('='));
}

void merge_health(std::optional<HealthConfig>& user, const std::optional<HealthConfig>& image) {
    if (!image) {
        return;
    }
    if (!user) {
        user = image;
        return;
    }
    if (user->test.empty()) {
        user->test = image->test;
    }
    for (auto member :
         {&HealthConfig::interval,
          &HealthConfig::timeout,
          &HealthConfig::start_period,
          &HealthConfig::start_interval,
          &HealthConfig::retries}) {
        if ((*user).*member == 0) {
            (*user).*member = (*image).*member;
        }
    }
}

bool is_blank(const std::optional<std::vector<std::string>>& list) {
    return !list || list->empty();
}

} // namespace

void merge_image_config(ContainerConfig& user, const ContainerConfig& image) {
    if (user.user.empty()) {
        user.user = image.user;
    }
    user.exposed_ports.insert(image.exposed_ports.begin(), image.exposed_ports.end());
    for (const std::string& entry : image.env) {
        const bool overridden = std::ranges::any_of(user.env, [&entry](const std::string& own) {
            return variable_name(own) == variable_name(entry);
        });
        if (!overridden) {
            user.env.push_back(entry);
        }
    }
    user.labels.insert(image.labels.begin(), image.labels.end());
    if (is_blank(user.entrypoint)) {
        if (is_blank(user.cmd)) {
            user.cmd = image.cmd;
            user.args_escaped = image.args_escaped;
        }
        if (!user.entrypoint) {
            user.entrypoint = image.entrypoint;
        }
    }
    merge_health(user.healthcheck, image.healthcheck);
    if (user.working_dir.empty()) {
        user.working_dir = image.working_dir;
    }
    user.volumes.insert(image.volumes.begin(), image.volumes.end());
    if (user.stop_signal.empty()) {
        user.stop_signal = image.stop_signal;
    }
    if (!user.stop_timeout) {
        user.stop_timeout = image.stop_timeout;
    }
    if (user.shell.empty()) {
        user.shell = image.shell;
    }
}

Result<void> check_command(ContainerConfig& config) {
    if (config.entrypoint && config.entrypoint->size() == 1 && config.entrypoint->front().empty()) {
        config.entrypoint.reset();
    }
    if (is_blank(config.entrypoint) && is_blank(config.cmd)) {
        return invalid_argument("no command specified");
    }
    return ok();
}

CommandLine command_line(const ContainerConfig& config) {
    std::vector<std::string> all = config.entrypoint.value_or(std::vector<std::string>());
    if (config.cmd) {
        all.insert(all.end(), config.cmd->begin(), config.cmd->end());
    }
    VERIFY(!all.empty());
    CommandLine line{.path = std::move(all.front())};
    line.arguments.assign(
        std::make_move_iterator(all.begin() + 1), std::make_move_iterator(all.end()));
    return line;
}

std::vector<std::string>
replace_or_append(std::vector<std::string> env, const std::vector<std::string>& overrides) {
    for (const std::string& entry : overrides) {
        const auto existing = std::ranges::find(env, variable_name(entry), variable_name);
        const bool is_removal = entry.find('=') == std::string::npos;
        if (existing == env.end()) {
            if (!is_removal) {
                env.push_back(entry);
            }
        } else if (is_removal) {
            env.erase(existing);
        } else {
            *existing = entry;
        }
    }
    return env;
}

std::vector<std::string> container_environment(const ContainerConfig& config) {
    std::vector<std::string> env{std::string(default_path)};
    if (!config.hostname.empty()) {
        env.push_back("HOSTNAME=" + config.hostname);
    }
    if (config.tty) {
        env.emplace_back("TERM=xterm");
    }
    return replace_or_append(std::move(env), config.env);
}

} // namespace berth::engine
