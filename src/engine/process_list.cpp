// SPDX-License-Identifier: Apache-2.0
// proc(5): stat, status and cmdline of each process.
#include "engine/process_list.h"

#include "base/file.h"
#include "base/strings.h"
#include "base/time.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include <pwd.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

namespace berth::engine {
namespace {

struct Process {
    pid_t pid = 0;
    std::string user;
    std::string state;
    std::string parent;
    std::string command;
    std::int64_t terminal = 0;
    std::uint64_t cpu_ticks = 0;
    std::uint64_t start_ticks = 0;
    std::uint64_t virtual_kilobytes = 0;
    std::uint64_t resident_kilobytes = 0;
};

std::uint64_t number_at(const std::vector<std::string_view>& fields, std::size_t index) {
    return index < fields.size() ? parse_number<std::uint64_t>(fields[index]).value_or(0) : 0;
}

std::string user_name(uid_t uid) {
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
        return found->pw_name;
    }
    return std::to_string(uid);
}

std::optional<Process> read_process(pid_t pid) {
    const std::string directory = "/proc/" + std::to_string(pid);
    auto stat_text = read_file(directory + "/stat");
    auto command = read_file(directory + "/cmdline", 1U << 20);

    struct stat owner {};

    if (!stat_text.ok() || !command.ok() || ::stat(directory.c_str(), &owner) != 0) {
        return std::nullopt;
    }
    // The name is in parentheses and may hold anything, parentheses too.
    auto name = cut_last(*stat_text, ")");
    if (!name) {
        return std::nullopt;
    }
    const std::vector<std::string_view> fields = words(name->after);
    if (fields.size() < 22) {
        return std::nullopt;
    }
    Process process;
    process.pid = pid;
    process.user = user_name(owner.st_uid);
    process.state = fields[0];
    process.parent = fields[1];
    process.terminal = parse_number<std::int64_t>(fields[4]).value_or(0);
    process.cpu_ticks = number_at(fields, 11) + number_at(fields, 12);
    process.start_ticks = number_at(fields, 19);
    process.virtual_kilobytes = number_at(fields, 20) / 1024;
    process.resident_kilobytes =
        number_at(fields, 21) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 1024;
    process.command = std::move(command).value();
    if (process.command.empty()) {
        const auto start = name->before.find('(');
        process.command = "[" + std::string(name->before.substr(start + 1)) + "]";
    }
    std::ranges::replace(process.command, '\0', ' ');
    process.command = trim(process.command);
    return process;
}

std::string terminal_name(std::int64_t device) {
    const auto number = static_cast<dev_t>(device);
    const unsigned major_number = major(number);
    if (device == 0) {
        return "?";
    }
    if (major_number >= 136 && major_number <= 143) {
        return "pts/" + std::to_string((major_number - 136) * 256 + minor(number));
    }
    return major_number == 4 ? "tty" + std::to_string(minor(number)) : "?";
}

std::string two_digits(std::uint64_t number) {
    return (number < 10 ? "0" : "") + std::to_string(number);
}

std::string start_text(const Process& process, std::int64_t boot_seconds, std::uint64_t ticks) {
    const time_t started = boot_seconds + static_cast<time_t>(process.start_ticks / ticks);
    const std::int64_t age = Timestamp::now().seconds() - started;
    tm local{};
    localtime_r(&started, &local);
    std::array<char, 16> text{};
    strftime(text.data(), text.size(), age < 24L * 3600 ? "%H:%M" : "%b%d", &local);
    return text.data();
}

std::string percent(double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f", value);
    return text.data();
}

} // namespace

Result<TopResult> list_processes(const std::vector<pid_t>& pids, const std::string& ps_arguments) {
    const std::string arguments(trim(ps_arguments));
    const bool is_aux = arguments == "aux" || arguments == "-aux";
    if (!is_aux && !arguments.empty() && arguments != "-ef" && arguments != "ef") {
        return not_implemented(
            "ps arguments \"" + arguments +
            "\" need the program ps, which this machine does not have: use -ef or aux");
    }
    TopResult result;
    result.titles =
        is_aux
            ? std::vector<
                  std::
                      string>{"USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"}
            : std::vector<std::string>{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"};

    struct sysinfo machine {};

    sysinfo(&machine);
    const auto ticks = static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
    const std::int64_t boot = Timestamp::now().seconds() - machine.uptime;
    for (const pid_t pid : pids) {
        const std::optional<Process> found = read_process(pid);
        if (!found) {
            continue;
        }
        const Process& process = *found;
        const std::uint64_t cpu_seconds = process.cpu_ticks / ticks;
        const std::string start = start_text(process, boot, ticks);
        const std::string terminal = terminal_name(process.terminal);
        const std::uint64_t started = process.start_ticks / ticks; // whole seconds, as ps counts
        const double age = std::max<double>(
            1.0, static_cast<double>(machine.uptime) - static_cast<double>(started));
        const double cpu = static_cast<double>(cpu_seconds) * 100.0 / age;
        if (is_aux) {
            const double total = static_cast<double>(machine.totalram) * machine.mem_unit / 1024;
            result.processes.push_back(
                {process.user,
                 std::to_string(pid),
                 percent(cpu),
                 percent(static_cast<double>(process.resident_kilobytes) * 100.0 / total),
                 std::to_string(process.virtual_kilobytes),
                 std::to_string(process.resident_kilobytes),
                 terminal,
                 process.state,
                 start,
                 std::to_string(cpu_seconds / 60) + ":" + two_digits(cpu_seconds % 60),
                 process.command});
        } else {
            result.processes.push_back(
                {process.user,
                 std::to_string(pid),
                 process.parent,
                 std::to_string(static_cast<std::int64_t>(cpu)),
                 start,
                 terminal,
                 two_digits(cpu_seconds / 3600) + ":" + two_digits(cpu_seconds / 60 % 60) + ":" +
                     two_digits(cpu_seconds % 60),
                 process.command});
        }
    }
    return result;
}

} // namespace berth::engine
