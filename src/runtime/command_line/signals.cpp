// SPDX-License-Identifier: Apache-2.0
// runc takes any number (0 asks whether the process is there) and the names of signal(7).
#include "runtime/command_line/signals.h"

#include "base/strings.h"

#include <array>
#include <csignal>

namespace berth::runtime::command_line {

namespace {

struct SignalName {
    std::string_view name;
    int number;
};

constexpr auto signal_names = std::to_array<SignalName>(
    {{"HUP", SIGHUP},       {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},
     {"TRAP", SIGTRAP},     {"ABRT", SIGABRT},   {"IOT", SIGIOT},   {"BUS", SIGBUS},
     {"FPE", SIGFPE},       {"KILL", SIGKILL},   {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},
     {"USR2", SIGUSR2},     {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
     {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD},   {"CLD", SIGCHLD},  {"CONT", SIGCONT},
     {"STOP", SIGSTOP},     {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
     {"URG", SIGURG},       {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
     {"PROF", SIGPROF},     {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"POLL", SIGPOLL},
     {"PWR", SIGPWR},       {"SYS", SIGSYS}});

// Of the kernel; the C library keeps the first two for itself.
constexpr int first_realtime = 34;
constexpr int last_signal = 64;

std::optional<int> realtime_signal(std::string_view name) {
    int base = name.starts_with("RTMIN") ? first_realtime : last_signal;
    if (!name.starts_with("RTMIN") && !name.starts_with("RTMAX")) {
        return std::nullopt;
    }
    std::string_view offset = name.substr(5);
    if (offset.empty()) {
        return base;
    }
    const bool up = base == first_realtime;
    if (offset[0] != (up ? '+' : '-')) {
        return std::nullopt;
    }
    Result<int> distance = parse_number<int>(offset.substr(1));
    if (!distance.ok() || *distance < 0 || *distance > last_signal - first_realtime) {
        return std::nullopt;
    }
    return up ? base + *distance : base - *distance;
}

} // namespace

Result<int> parse_signal(std::string_view text) {
    Result<int> number = parse_number<int>(text);
    if (number.ok() && *number >= 0 && *number <= last_signal) {
        return number;
    }
    std::string name = to_upper(text);
    std::string_view plain = name;
    if (plain.starts_with("SIG")) {
        plain.remove_prefix(3);
    }
    for (const SignalName& entry : signal_names) {
        if (entry.name == plain) {
            return entry.number;
        }
    }
    if (std::optional<int> realtime = realtime_signal(plain)) {
        return *realtime;
    }
    return invalid_argument("unknown signal \"" + std::string(text) + "\"");
}

} // namespace berth::runtime::command_line
