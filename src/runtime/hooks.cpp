// SPDX-License-Identifier: Apache-2.0
// The state is written to an unnamed file instead of a pipe: a hook that does not read it cannot
// block us.
#include "runtime/hooks.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "codec/json.h"
#include "kernel/process.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr std::int64_t max_timeout = 86400; // seconds
constexpr std::size_t max_words = 1024;     // of a failed hook's output

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
            return Error(
                ErrorKind::DeadlineExceeded,
                "hook took longer than its timeout of " + std::to_string(*timeout) + " s");
        }
        if (errno != EINTR) {
            return errno_error("wait for a hook");
        }
    }
    return child.wait();
}

// What the hook wrote, from the unnamed file that was its standard output and error.
std::string last_words(const UniqueFd& output) {
    std::string text(max_words, '\0');

    struct stat status {};

    if (::fstat(output.get(), &status) < 0) {
        return {};
    }
    const off_t start = std::max<off_t>(0, status.st_size - static_cast<off_t>(max_words));
    ssize_t got = ::pread(output.get(), text.data(), text.size(), start);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    std::string_view words = trim(text);
    return words.empty() ? std::string() : ", output: " + std::string(words);
}

Result<void> run_hook(const oci::Hook& hook, const HookRun& run) {
    UniqueFd input = TRY(state_file(run.state));
    UniqueFd output(::memfd_create("output", MFD_CLOEXEC));
    if (!output) {
        return errno_error("memfd_create");
    }
    kernel::SpawnOptions options{
        .arguments = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args,
        .program = hook.path,
        .environment = hook.env,
        .fds = {{input.get(), 0}, {output.get(), 1}, {output.get(), 2}},
        .working_directory = run.directory,
        .new_session = true};
    kernel::Child child = TRY(kernel::spawn(options));
    const pid_t group = child.pid();
    Result<kernel::ExitStatus> status = wait_for(child, hook.timeout);
    if (!status.ok()) {
        ::kill(-group, SIGKILL); // the child itself is not reaped yet, so the group is its own
        return std::move(status).error();
    }
    if (status->shell_code() != 0) {
        return internal_error(
            "hook ended with status " + std::to_string(status->shell_code()) + last_words(output));
    }
    return ok();
}

std::string name_of(std::string_view kind, std::size_t index) {
    return "hooks." + std::string(kind) + "[" + std::to_string(index) + "]";
}

Result<void> check_list(const std::vector<oci::Hook>& hooks, std::string_view kind) {
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        if (!hooks[i].path.starts_with('/')) {
            return invalid_argument(
                name_of(kind, i) + ".path: \"" + hooks[i].path + "\" is not absolute");
        }
        if (hooks[i].timeout && (*hooks[i].timeout <= 0 || *hooks[i].timeout > max_timeout)) {
            return invalid_argument(name_of(kind, i) + ".timeout: must be 1 to 86400 seconds");
        }
    }
    return ok();
}

} // namespace

Result<void> check_hooks(const oci::Hooks& hooks) {
    TRY(check_list(hooks.prestart, "prestart"));
    TRY(check_list(hooks.create_runtime, "createRuntime"));
    TRY(check_list(hooks.create_container, "createContainer"));
    TRY(check_list(hooks.start_container, "startContainer"));
    TRY(check_list(hooks.poststart, "poststart"));
    return check_list(hooks.poststop, "poststop");
}

Result<void> run_hooks(const std::vector<oci::Hook>& hooks, const HookRun& run) {
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        TRY_CONTEXT(
            run_hook(hooks[i], run), "error running " + name_of(run.kind, i) + " " + hooks[i].path);
    }
    return ok();
}

void run_all_hooks(const std::vector<oci::Hook>& hooks, const HookRun& run) {
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        Result<void> done = run_hook(hooks[i], run);
        if (!done.ok()) {
            log::warn(
                "hook failed, ignoring",
                {{"hook", name_of(run.kind, i)},
                 {"path", hooks[i].path},
                 {"error", done.error().message()}});
        }
    }
}

} // namespace berth::runtime
