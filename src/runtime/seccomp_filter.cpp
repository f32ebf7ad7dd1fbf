// SPDX-License-Identifier: Apache-2.0
// The agent gets the descriptor before the process makes another call that it could be asked about.
#include "runtime/seccomp_filter.h"

#include "codec/json.h"
#include "kernel/socket.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <array>

#include <sys/syscall.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr std::string_view notify = "SCMP_ACT_NOTIFY";

Result<void> check_notify(const oci::Seccomp& seccomp) {
    if (seccomp.default_action == notify) {
        return invalid_argument(
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action");
    }
    bool notifies = false;
    for (std::size_t i = 0; i < seccomp.syscalls.size(); ++i) {
        const oci::SeccompRule& rule = seccomp.syscalls[i];
        if (rule.action != notify) {
            continue;
        }
        notifies = true;
        if (std::find(rule.names.begin(), rule.names.end(), "write") != rule.names.end()) {
            return invalid_argument(
                "linux.seccomp.syscalls[" + std::to_string(i) +
                "]: SCMP_ACT_NOTIFY cannot be used for the write syscall, with which the listener "
                "is handed over");
        }
    }
    if (notifies && !seccomp.listener_path.starts_with('/')) {
        return invalid_argument(
            "linux.seccomp.listenerPath: SCMP_ACT_NOTIFY needs the absolute path of a socket");
    }
    return ok();
}

} // namespace

kernel::SeccompFilter seccomp_filter(const oci::Seccomp& seccomp) {
    kernel::SeccompFilter filter{
        .name = "linux.seccomp",
        .default_action = seccomp.default_action,
        .default_errno = seccomp.default_errno_ret,
        .architectures = seccomp.architectures,
        .flags = seccomp.flags,
        .rules = {}};
    for (const oci::SeccompRule& rule : seccomp.syscalls) {
        kernel::SeccompFilterRule& made = filter.rules.emplace_back();
        made.names = rule.names;
        made.action = rule.action;
        made.errno_value = rule.errno_ret;
        for (const oci::SeccompArgument& argument : rule.args) {
            made.conditions.push_back(
                {argument.index, argument.value, argument.value_two, argument.op});
        }
    }
    return filter;
}

Result<std::optional<kernel::SeccompProgram>>
seccomp_program(const std::optional<oci::Seccomp>& seccomp, const std::string& cache_directory) {
    if (!seccomp || seccomp->default_action.empty()) {
        return std::optional<kernel::SeccompProgram>();
    }
    TRY(check_notify(*seccomp));
    return std::optional(
        TRY(kernel::compile_seccomp_cached(seccomp_filter(*seccomp), cache_directory)));
}

Result<void> hand_over_listener(
    const oci::Seccomp& seccomp, const FilteredProcess& process, const State& state) {
    UniqueFd listener(
        static_cast<int>(::syscall(SYS_pidfd_getfd, process.pidfd.get(), process.listener, 0)));
    if (!listener) {
        return errno_error("take the seccomp listener");
    }
    json::Object message{
        {"ociVersion", state.oci_version},
        {"fds", json::Array{"seccompFd"}},
        {"pid", process.pid},
        {"metadata", seccomp.listener_metadata},
        {"state", state_object(state)}};
    UniqueFd agent =
        TRY_CONTEXT(kernel::connect_unix(seccomp.listener_path), "linux.seccomp.listenerPath");
    const std::string text = json::serialize(json::Value(std::move(message)));
    const std::array<int, 1> descriptors{listener.get()};
    std::size_t sent = TRY_CONTEXT(
        kernel::send_with_descriptors(agent, text, descriptors), "linux.seccomp.listenerPath");
    while (sent < text.size()) {
        sent += TRY_CONTEXT(
            kernel::send_with_descriptors(agent, std::string_view(text).substr(sent), {}),
            "linux.seccomp.listenerPath");
    }
    return ok();
}

} // namespace berth::runtime
