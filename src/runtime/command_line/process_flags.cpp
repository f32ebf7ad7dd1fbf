// SPDX-License-Identifier: Apache-2.0
// runc: exec.go's getProcess and getSubCgroupPaths.
#include "runtime/command_line/process_flags.h"

#include "base/file.h"
#include "base/strings.h"

namespace berth::runtime::command_line {

namespace {

void add_capabilities(oci::Process& process, const std::vector<std::string>& names) {
    if (names.empty()) {
        return;
    }
    if (!process.capabilities) {
        process.capabilities.emplace();
    }
    oci::Capabilities& sets = *process.capabilities;
    // Ambient ones need inheritable ones, which this flag does not give.
    const bool ambient = !sets.inheritable.empty();
    for (const std::string& name : names) {
        sets.bounding.push_back(name);
        sets.effective.push_back(name);
        sets.permitted.push_back(name);
        if (ambient) {
            sets.ambient.push_back(name);
        }
    }
}

} // namespace

Result<oci::User> parse_numeric_user(std::string_view text, oci::User user) {
    std::vector<std::string_view> parts = split(text, ':');
    if (parts.size() > 2) {
        return invalid_argument("invalid user \"" + std::string(text) + "\"");
    }
    user.uid = TRY_CONTEXT(
        parse_number<std::uint32_t>(parts[0]), "parsing uid of \"" + std::string(text) + "\"");
    if (parts.size() == 2) {
        user.gid = TRY_CONTEXT(
            parse_number<std::uint32_t>(parts[1]), "parsing gid of \"" + std::string(text) + "\"");
    }
    return user;
}

Result<std::map<std::string, std::string>>
parse_sub_cgroups(const std::vector<std::string>& values) {
    std::map<std::string, std::string> paths;
    for (const std::string& value : values) {
        std::optional<Cut> parts = cut(value, ":");
        if (!parts) {
            if (values.size() != 1) {
                return invalid_argument(
                    "invalid --cgroup argument: " + value + " (missing <controller>: prefix)");
            }
            paths[""] = value;
            continue;
        }
        for (std::string_view controller : split(parts->before, ',')) {
            if (controller.empty()) {
                return invalid_argument(
                    "invalid --cgroup argument: " + value + " (empty <controller> prefix)");
            }
            if (!paths.emplace(controller, parts->after).second) {
                return invalid_argument(
                    "invalid --cgroup argument(s): controller " + std::string(controller) +
                    " specified multiple times");
            }
        }
    }
    return paths;
}

Result<oci::Process> changed_process(oci::Process process, const Flags& flags) {
    process.args.assign(flags.rest().begin() + 1, flags.rest().end());
    process.terminal = flags.is_set("tty");
    if (!flags.value("cwd").empty()) {
        process.cwd = flags.value("cwd");
    }
    if (!flags.value("process-label").empty()) {
        process.selinux_label = flags.value("process-label");
    }
    if (!flags.value("apparmor").empty()) {
        process.apparmor_profile = flags.value("apparmor");
    }
    if (flags.is_given("no-new-privs")) {
        process.no_new_privileges = flags.is_set("no-new-privs");
    }
    if (!flags.value("user").empty()) {
        process.user = TRY(parse_numeric_user(flags.value("user"), std::move(process.user)));
    }
    for (const std::string& gid : flags.values("additional-gids")) {
        process.user.additional_gids.push_back(
            TRY_CONTEXT(parse_number<std::uint32_t>(gid), "additional-gids"));
    }
    for (const std::string& entry : flags.values("env")) {
        process.env.push_back(entry);
    }
    add_capabilities(process, flags.values("cap"));
    return process;
}

Result<oci::Process> exec_process(const Container& container, const Flags& flags) {
    if (!flags.value("process").empty()) {
        std::string text = TRY(read_file(flags.value("process")));
        oci::Process process = TRY_CONTEXT(oci::parse_process_text(text), flags.value("process"));
        return process.args.empty() ? Result<oci::Process>(invalid_argument(
                                          flags.value("process") + ": args cannot be empty"))
                                    : Result<oci::Process>(std::move(process));
    }
    if (flags.rest().size() < 2) {
        return invalid_argument("process args cannot be empty");
    }
    const oci::RuntimeConfig& config = *TRY(container.load_config());
    return changed_process(*config.process, flags);
}

} // namespace berth::runtime::command_line
