// SPDX-License-Identifier: Apache-2.0
// The table of signal names, after github.com/moby/sys/signal.
#include "engine/signals.h"

#include "base/strings.h"

#include <csignal>
#include <string>
#include <utility>

namespace berth::engine {
namespace {

// The kernel's first real-time signals; glibc keeps 32 and 33 for itself and says 34.
constexpr int first_real_time = 34;
constexpr int last_real_time = 64;

constexpr std::pair<std::string_view, int> signal_names[] = {
    {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"BUS", SIGBUS},       {"CHLD", SIGCHLD},
    {"CLD", SIGCHLD},  {"CONT", SIGCONT}, {"FPE", SIGFPE},       {"HUP", SIGHUP},
    {"ILL", SIGILL},   {"INT", SIGINT},   {"IO", SIGIO},         {"IOT", SIGIOT},
    {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"POLL", SIGPOLL},     {"PROF", SIGPROF},
    {"PWR", SIGPWR},   {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV},     {"STKFLT", SIGSTKFLT},
    {"STOP", SIGSTOP}, {"SYS", SIGSYS},   {"TERM", SIGTERM},     {"TRAP", SIGTRAP},
    {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
    {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}};

Result<int> parse_real_time(std::string_view name, const Error& invalid) {
    const bool from_start = name.starts_with("RTMIN");
    std::string_view offset = name.substr(5);
    if (offset.empty()) {
        return from_start ? first_real_time : last_real_time;
    }
    if (offset.front() != (from_start ? '+' : '-')) {
        return invalid;
    }
    auto number = parse_number<int>(offset.substr(1));
    if (!number.ok() || *number < 0 || *number > last_real_time - first_real_time) {
        return invalid;
    }
    return from_start ? first_real_time + *number : last_real_time - *number;
}

} // namespace

Result<int> parse_signal(std::string_view text) {
    const Error invalid = invalid_argument("invalid signal: " + std::string(text));
    if (auto number = parse_number<int>(text); number.ok()) {
        if (*number < 1 || *number > last_real_time) {
            return invalid;
        }
        return *number;
    }
    const std::string upper = to_upper(text);
    std::string_view name = upper;
    if (name.starts_with("SIG")) {
        name.remove_prefix(3);
    }
    for (const auto& [known, number] : signal_names) {
        if (name == known) {
            return number;
        }
    }
    if (name.starts_with("RTMIN") || name.starts_with("RTMAX")) {
        return parse_real_time(name, invalid);
    }
    return invalid;
}

} // namespace berth::engine
