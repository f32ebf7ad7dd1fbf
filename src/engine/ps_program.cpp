// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/top_unix.go, with its words.
#include "engine/ps_program.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/process.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

namespace berth::engine {
namespace {

constexpr std::size_t ps_output_limit = 64U << 20;
// A process that the kernel holds can hold ps as well.
constexpr int longest_run = 20'000; // milliseconds

struct Outcome {
    int code = 0;
    std::string output;
    std::string error;
};

Result<std::string> content_of(const UniqueFd& file) {
    if (::lseek(file.get(), 0, SEEK_SET) < 0) {
        return errno_error("output of ps");
    }
    return read_all(file, ps_output_limit);
}

Result<Outcome> run(std::vector<std::string> arguments) {
    const UniqueFd nothing = TRY(open_file("/dev/null", O_RDONLY));
    const UniqueFd output(::memfd_create("ps", MFD_CLOEXEC));
    const UniqueFd error(::memfd_create("ps", MFD_CLOEXEC));
    if (!output || !error) {
        return errno_error("memfd_create");
    }
    kernel::SpawnOptions options;
    options.arguments = std::move(arguments);
    options.fds = {
        {nothing.get(), STDIN_FILENO}, {output.get(), STDOUT_FILENO}, {error.get(), STDERR_FILENO}};
    kernel::Child child = TRY(kernel::spawn(options));
    pollfd ended{.fd = child.pidfd().get(), .events = POLLIN, .revents = 0};
    int ready = 0;
    do {
        ready = ::poll(&ended, 1, longest_run);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) {
        return Error(ErrorKind::DeadlineExceeded, "ps does not end");
    }
    Outcome outcome{.code = TRY(child.wait()).shell_code(), .output = {}, .error = {}};
    outcome.output = TRY(content_of(output));
    outcome.error = TRY(content_of(error));
    return outcome;
}

// A column may be named anything, but what is called PID must be the process's number.
Result<void> check_arguments(std::string_view arguments) {
    const std::vector<std::string_view> parts = words(arguments);
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const auto name = cut(parts[i], "=");
        if (name && name->after.starts_with("PID") && name->before != "pid") {
            return invalid_argument(
                "specifying \"" + std::string(name->before) + "=" + std::string(name->after) +
                "\" is not allowed");
        }
    }
    return ok();
}

std::vector<std::string> command(std::string_view arguments) {
    std::vector<std::string> result{"ps"};
    for (const std::string_view argument : split(arguments, ' ')) {
        result.emplace_back(argument);
    }
    return result;
}

} // namespace

Result<TopResult> parse_ps_output(std::string_view output, const std::vector<pid_t>& pids) {
    const std::vector<std::string_view> lines = split(output, '\n');
    const std::vector<std::string_view> titles = words(lines[0]);
    const auto column = std::ranges::find(titles, "PID");
    if (column == titles.end()) {
        return invalid_argument("Couldn't find PID field in ps output");
    }
    const auto index = static_cast<std::size_t>(column - titles.begin());
    const std::set<pid_t> wanted(pids.begin(), pids.end());
    TopResult result;
    result.titles.assign(titles.begin(), titles.end());
    bool is_ours = false;
    for (std::size_t i = 1; i < lines.size(); ++i) {
        const std::vector<std::string_view> fields = words(lines[i]);
        if (fields.size() <= index) {
            continue;
        }
        if (fields[index] != "-") {
            const auto pid = parse_number<pid_t>(fields[index]);
            if (!pid.ok()) {
                return invalid_argument("Unexpected pid '" + std::string(fields[index]) + "'");
            }
            is_ours = wanted.contains(*pid);
        }
        if (!is_ours) {
            continue;
        }
        // The last column takes what is left.
        std::vector<std::string> process;
        for (const std::string_view field : fields) {
            if (process.size() < titles.size()) {
                process.emplace_back(field);
            } else {
                process.back().append(" ").append(field);
            }
        }
        result.processes.push_back(std::move(process));
    }
    return result;
}

Result<std::optional<TopResult>>
ask_ps(const std::vector<pid_t>& pids, const std::string& ps_arguments) {
    TRY(check_arguments(ps_arguments));
    std::string list;
    for (const pid_t pid : pids) {
        list += (list.empty() ? "-q" : ",") + std::to_string(pid);
    }
    const std::string arguments = ps_arguments.empty() ? "-ef" : ps_arguments;
    std::vector<std::string> with_pids = command(arguments);
    with_pids.push_back(list);
    auto first = run(with_pids);
    if (!first.ok() && first.error().error_number() == ENOENT) {
        return std::optional<TopResult>();
    }
    Outcome outcome = TRY(std::move(first));
    // Some options do not go with -q, "f" for one.
    if (outcome.code != 0) {
        outcome = TRY(run(command(arguments)));
    }
    if (outcome.code != 0) {
        const std::string line = outcome.error.substr(0, outcome.error.find('\n'));
        return invalid_argument(
            line.empty() ? "ps: exit status " + std::to_string(outcome.code) : line);
    }
    return std::optional(TRY(parse_ps_output(outcome.output, pids)));
}

} // namespace berth::engine
