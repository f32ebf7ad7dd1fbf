// SPDX-License-Identifier: Apache-2.0
// runc: exec.go and utils_linux.go's getProcess.
#include "runtime/command_line/process_flags.h"

#include "base/file.h"
#include "base/strings.h"

namespace berth::runtime::command_line {

Result<oci::User> parse_numeric_user(std::string_view text) {
    std::vector<std::string_view> parts = split(text, ':');
    if (parts.size() > 2) {
        return invalid_argument("invalid user \"" + std::string(text) + "\"");
    }
    oci::User user;
    user.uid = TRY_CONTEXT(
        parse_number<std::uint32_t>(parts[0]), "parsing uid of \"" + std::string(text) + "\"");
    if (parts.size() == 2) {
        user.gid = TRY_CONTEXT(
            parse_number<std::uint32_t>(parts[1]), "parsing gid of \"" + std::string(text) + "\"");
    }
    return user;
}

Result<oci::Process> exec_process(const Container& container, const Flags& flags) {
    for (std::string_view name : {"pidfd-socket", "process-label"}) {
        if (!flags.value(name).empty()) {
            return not_implemented("--" + std::string(name) + " is not implemented");
        }
    }
    if (!flags.value("process").empty()) {
        std::string text = TRY(read_file(flags.value("process")));
        return TRY_CONTEXT(oci::parse_process_text(text), flags.value("process"));
    }
    if (flags.rest().size() < 2) {
        return invalid_argument("process args cannot be empty");
    }
    const oci::RuntimeConfig& config = *TRY(container.load_config());
    oci::Process process = *config.process;
    process.args.assign(flags.rest().begin() + 1, flags.rest().end());
    process.terminal = flags.is_set("tty");
    if (!flags.value("cwd").empty()) {
        process.cwd = flags.value("cwd");
    }
    if (!flags.value("apparmor").empty()) {
        process.apparmor_profile = flags.value("apparmor");
    }
    process.no_new_privileges = process.no_new_privileges || flags.is_set("no-new-privs");
    if (!flags.value("user").empty()) {
        oci::User user = TRY(parse_numeric_user(flags.value("user")));
        process.user.uid = user.uid;
        process.user.gid = user.gid;
    }
    for (const std::string& gid : flags.values("additional-gids")) {
        process.user.additional_gids.push_back(
            TRY_CONTEXT(parse_number<std::uint32_t>(gid), "--additional-gids"));
    }
    for (const std::string& entry : flags.values("env")) {
        process.env.push_back(entry);
    }
    if (!process.capabilities && !flags.values("cap").empty()) {
        process.capabilities.emplace();
    }
    for (const std::string& name : flags.values("cap")) {
        process.capabilities->bounding.push_back(name);
        process.capabilities->effective.push_back(name);
        process.capabilities->permitted.push_back(name);
    }
    return process;
}

} // namespace berth::runtime::command_line
