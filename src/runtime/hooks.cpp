// SPDX-License-Identifier: Apache-2.0
// The state is written to an unnamed file instead of a pipe: a hook that does not read it cannot
// block us.
#include "runtime/hooks.h"

#include "base/file.h"
#include "codec/json.h"
#include "kernel/process.h"

#include <cerrno>
#include <chrono>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

Result<UniqueFd> state_file(const State& state) {
    UniqueFd file(::memfd_create("state", MFD_CLOEXEC));
    if (!file) {
        return errno_error("memfd_create");
    }
    TRY(write_all(file, json::serialize(state_object(state))));
    if (::lseek(file.get(), 0, SEEK_SET) < 0) {
        return errno_error("state for a hook");
    }
    return file;
}

Result<kernel::ExitStatus> wait_for(kernel::Child& child, std::optional<std::int64_t> timeout) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::seconds(timeout.value_or(0));
    while (timeout) {
        auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
        pollfd ended{child.pidfd().get(), POLLIN, 0};
        int ready = ::poll(&ended, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (ready > 0) {
            break;
        }
        if (ready == 0) {
            return Error(ErrorKind::DeadlineExceeded, "hook took longer than its timeout");
        }
        if (errno != EINTR) {
            return errno_error("wait for a hook");
        }
    }
    return child.wait();
}

Result<void> run_hook(const oci::Hook& hook, const State& state, const std::string& directory) {
    if (!hook.path.starts_with('/')) {
        return invalid_argument("hook path \"" + hook.path + "\" is not absolute");
    }
    if (hook.timeout && (*hook.timeout <= 0 || *hook.timeout > 86400)) {
        return invalid_argument("hook timeout must be 1 to 86400 seconds");
    }
    UniqueFd input = TRY(state_file(state));
    kernel::SpawnOptions options{
        .arguments = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args,
        .program = hook.path,
        .environment = hook.env,
        .fds = {{input.get(), 0}},
        .working_directory = directory};
    kernel::Child child = TRY(kernel::spawn(options));
    kernel::ExitStatus status = TRY(wait_for(child, hook.timeout));
    if (status.shell_code() != 0) {
        return internal_error("hook ended with status " + std::to_string(status.shell_code()));
    }
    return ok();
}

} // namespace

Result<void>
run_hooks(const std::vector<oci::Hook>& hooks, const State& state, const std::string& directory) {
    for (const oci::Hook& hook : hooks) {
        TRY_CONTEXT(run_hook(hook, state, directory), "hook " + hook.path);
    }
    return ok();
}

} // namespace berth::runtime
