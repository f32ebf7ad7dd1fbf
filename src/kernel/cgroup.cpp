// SPDX-License-Identifier: Apache-2.0
// Joining, freezing, killing and removing groups.
// https://docs.kernel.org/admin-guide/cgroup-v2.html, …/cgroup-v1/
#include "kernel/cgroup.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup_files.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds removal_deadline{5};
constexpr std::chrono::seconds freeze_deadline{10};

void pause_for(std::chrono::microseconds time) {
    timespec duration{0, std::chrono::nanoseconds(time).count()};
    ::nanosleep(&duration, nullptr);
}

// Until no process is left, or the deadline.
void wait_until_empty(const std::string& unified) {
    Result<UniqueFd> events = open_file(unified + "/cgroup.events", O_RDONLY);
    if (!events.ok()) {
        return;
    }
    const auto end = Clock::now() + removal_deadline;
    while (Clock::now() < end && cgroup_files::populated(unified).value_or(false)) {
        // The kernel wakes us with POLLPRI when the file changes since the last read.
        pollfd wait{events->get(), POLLPRI, 0};
        ::poll(&wait, 1, 100);
        char byte = 0;
        [[maybe_unused]] ssize_t got = ::pread(events->get(), &byte, 1, 0);
    }
}

Result<void> remove_group(const std::string& directory) {
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) {
        return ok();
    }
    if (errno != EBUSY) {
        return errno_error("remove cgroup " + directory);
    }
    // Busy: sub-groups, or a process that is dying.
    Result<std::vector<std::string>> names = list_directory(directory);
    if (names.ok()) {
        for (const std::string& name : *names) {
            struct stat status {};

            std::string below = directory + "/" + name;
            if (::lstat(below.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
                TRY(remove_group(below));
            }
        }
    }
    const auto end = Clock::now() + removal_deadline;
    for (std::chrono::microseconds delay{100}; ::rmdir(directory.c_str()) < 0; delay *= 2) {
        if (errno == ENOENT) {
            break;
        }
        if (errno != EBUSY || Clock::now() > end) {
            return errno_error("remove cgroup " + directory);
        }
        pause_for(std::min(delay, std::chrono::microseconds(20000)));
    }
    return ok();
}

Result<void> collect_processes(const std::string& directory, std::vector<pid_t>& found) {
    Result<std::string> text = cgroup_files::read_text(directory, "cgroup.procs");
    if (!text.ok()) {
        // Removed meanwhile, or a threaded group whose processes its parent lists.
        return text.error().error_number() == ENOENT || text.error().error_number() == EOPNOTSUPP
                   ? ok()
                   : Result<void>(std::move(text).error());
    }
    for (std::string_view line : words(*text)) {
        found.push_back(TRY(parse_number<pid_t>(line)));
    }

    struct stat own {};

    // Two links, and one for each group below: most have none, and twenty files to look at.
    if (::stat(directory.c_str(), &own) == 0 && own.st_nlink == 2) {
        return ok();
    }
    Result<std::vector<std::string>> names = list_directory(directory);
    if (!names.ok()) {
        return ok();
    }
    for (const std::string& name : *names) {
        struct stat status {};

        std::string below = directory + "/" + name;
        if (::lstat(below.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
            TRY(collect_processes(below, found));
        }
    }
    return ok();
}

Result<void> wait_for_freezer(const std::string& directory, bool version2, bool wanted) {
    const auto end = Clock::now() + freeze_deadline;
    while (true) {
        bool reached = false;
        if (version2) {
            auto events = TRY(cgroup_files::read_table(directory, "cgroup.events"));
            reached = (events["frozen"] != 0) == wanted;
        } else {
            std::string state = TRY(cgroup_files::read_text(directory, "freezer.state"));
            reached = trim(state) == (wanted ? "FROZEN" : "THAWED");
            if (!reached && wanted) {
                // Version 1 can get stuck on a process that forks; asking again unsticks it.
                TRY(cgroup_files::write_file(directory, "freezer.state", "FROZEN"));
            }
        }
        if (reached) {
            return ok();
        }
        if (Clock::now() > end) {
            return Error(ErrorKind::DeadlineExceeded, "cgroup " + directory + " does not freeze");
        }
        pause_for(std::chrono::microseconds(500));
    }
}

} // namespace

Result<Cgroup> Cgroup::open(const std::string& path) {
    const CgroupLayout& layout = *TRY(cgroup_layout());
    Cgroup group(TRY(cgroup_files::checked_path(path)), {});
    auto add_if_there = [&](const std::string& controller, const std::string& mount_point) {
        std::string directory = mount_point + group.path_;
        if (berth::exists(directory)) {
            group.directories_[controller] = std::move(directory);
        }
    };
    if (!layout.unified.empty()) {
        add_if_there("", layout.unified);
    }
    if (!layout.named_systemd.empty()) {
        add_if_there(systemd_hierarchy, layout.named_systemd);
    }
    for (const auto& [controller, mount_point] : layout.controllers) {
        add_if_there(controller, mount_point);
    }
    return group;
}

const std::string* Cgroup::directory(const std::string& controller) const {
    auto found = directories_.find(controller);
    return found == directories_.end() ? nullptr : &found->second;
}

bool Cgroup::exists() const {
    return std::any_of(directories_.begin(), directories_.end(), [](const auto& entry) {
        return berth::exists(entry.second);
    });
}

Result<void> Cgroup::set_limits(const CgroupLimits& limits) {
    if (directories_.empty()) {
        return Error(ErrorKind::Unavailable, "there is no cgroup to limit");
    }
    const CgroupLayout& layout = *TRY(cgroup_layout());
    if (layout.mode == CgroupMode::Version2) {
        return cgroup_files::limit_version2(directories_.at(""), limits);
    }
    if (!limits.unified.empty()) {
        return invalid_argument("unified resources need a machine with cgroup version 2");
    }
    for (const std::string& controller : cgroup_files::needed_controllers(limits)) {
        if (directories_.contains(controller)) {
            continue;
        }
        // An update wants a controller that the container did without so far.
        auto mount = layout.controllers.find(controller);
        if (mount == layout.controllers.end()) {
            return Error(
                ErrorKind::Unavailable, "this machine has no cgroup controller " + controller);
        }
        std::vector<pid_t> members = TRY(processes());
        std::string made =
            TRY(cgroup_files::make_version1_directory(mount->second, path_, controller));
        for (pid_t pid : members) {
            Result<void> moved =
                cgroup_files::write_file(made, "cgroup.procs", std::to_string(pid));
            if (!moved.ok() && moved.error().error_number() != ESRCH) {
                return moved;
            }
        }
        directories_[controller] = std::move(made);
    }
    return cgroup_files::limit_version1(directories_, limits);
}

Result<void> Cgroup::set_device_rules(const std::vector<CgroupDeviceRule>& rules) {
    if (const std::string* unified = directory("")) {
        return cgroup_files::allow_devices_version2(*unified, rules);
    }
    const std::string* devices = directory("devices");
    if (devices == nullptr) {
        return Error(ErrorKind::Unavailable, "this machine has no cgroup controller devices");
    }
    return cgroup_files::allow_devices_version1(*devices, rules);
}

Result<UniqueFd> Cgroup::open_unified() const {
    const std::string* unified = directory("");
    if (unified == nullptr) {
        return UniqueFd();
    }
    return open_file(*unified, O_PATH | O_DIRECTORY);
}

Result<std::vector<UniqueFd>> Cgroup::open_joins() const {
    std::vector<UniqueFd> joins;
    std::string last;
    for (const auto& [controller, path] : directories_) {
        // Controllers that are mounted together are neighbours with the same directory.
        if (!controller.empty() && path != last) {
            // Not cgroup.procs: a write of "0" to tasks moves just the calling thread, and the
            // kernel then needs not stop all forks of the machine for a grace period (10 ms).
            joins.push_back(TRY(open_file(path + "/tasks", O_WRONLY)));
            last = path;
        }
    }
    return joins;
}

Result<void> Cgroup::join(const std::vector<UniqueFd>& joins) {
    for (const UniqueFd& file : joins) {
        if (::write(file.get(), "0", 1) < 0) {
            return errno_error("join cgroup");
        }
    }
    return ok();
}

Result<void> Cgroup::add(pid_t pid) const {
    for (const auto& [controller, path] : directories_) {
        TRY(cgroup_files::write_file(path, "cgroup.procs", std::to_string(pid)));
    }
    return ok();
}

Result<std::vector<pid_t>> Cgroup::processes() const {
    std::vector<pid_t> found;
    for (const auto& [controller, path] : directories_) {
        TRY(collect_processes(path, found));
        break; // every process is in all of them
    }
    return found;
}

Result<void> Cgroup::freeze() const {
    if (const std::string* unified = directory("")) {
        TRY(cgroup_files::write_file(*unified, "cgroup.freeze", "1"));
        return wait_for_freezer(*unified, true, true);
    }
    const std::string* freezer = directory("freezer");
    if (freezer == nullptr) {
        return Error(ErrorKind::Unavailable, "this machine has no cgroup freezer");
    }
    TRY(cgroup_files::write_file(*freezer, "freezer.state", "FROZEN"));
    return wait_for_freezer(*freezer, false, true);
}

Result<void> Cgroup::thaw() const {
    if (const std::string* unified = directory("")) {
        TRY(cgroup_files::write_file(*unified, "cgroup.freeze", "0"));
        return wait_for_freezer(*unified, true, false);
    }
    const std::string* freezer = directory("freezer");
    if (freezer == nullptr) {
        return Error(ErrorKind::Unavailable, "this machine has no cgroup freezer");
    }
    TRY(cgroup_files::write_file(*freezer, "freezer.state", "THAWED"));
    return wait_for_freezer(*freezer, false, false);
}

bool Cgroup::frozen() const {
    if (const std::string* unified = directory("")) {
        Result<std::string> text = cgroup_files::read_text(*unified, "cgroup.freeze");
        return text.ok() && trim(*text) == "1";
    }
    const std::string* freezer = directory("freezer");
    if (freezer == nullptr) {
        return false;
    }
    Result<std::string> text = cgroup_files::read_text(*freezer, "freezer.state");
    return text.ok() && trim(*text) != "THAWED";
}

Result<void> Cgroup::kill(int signal) const {
    const std::string* unified = directory("");
    if (signal == SIGKILL && unified != nullptr) {
        Result<void> killed = cgroup_files::write_file(*unified, "cgroup.kill", "1");
        // The file came with Linux 5.14; without it we go through the list.
        if (killed.ok() || killed.error().error_number() != ENOENT || !berth::exists(*unified)) {
            return killed.ok() || killed.error().error_number() == ENOENT ? ok() : killed;
        }
    }
    // Processes that fork meanwhile are found in the next round.
    constexpr int rounds = 64;
    std::vector<pid_t> before;
    for (int round = 0; round < rounds; ++round) {
        std::vector<pid_t> members = TRY(processes());
        std::sort(members.begin(), members.end());
        bool news = false;
        for (pid_t pid : members) {
            if (!std::binary_search(before.begin(), before.end(), pid)) {
                news = true;
                if (::kill(pid, signal) < 0 && errno != ESRCH) {
                    return errno_error("signal process " + std::to_string(pid));
                }
            }
        }
        if (!news || signal != SIGKILL) {
            break;
        }
        before = std::move(members);
    }
    if (signal == SIGKILL && directory("freezer") != nullptr && unified == nullptr) {
        // A frozen process of version 1 dies only once it is thawed.
        TRY(cgroup_files::write_file(*directory("freezer"), "freezer.state", "THAWED"));
    }
    return ok();
}

Result<CgroupStats> Cgroup::stats() const {
    CgroupStats stats;
    const CgroupLayout& layout = *TRY(cgroup_layout());
    if (const std::string* unified = directory("")) {
        cgroup_files::add_stats_version2(*unified, stats);
    }
    if (layout.mode != CgroupMode::Version2) {
        cgroup_files::add_stats_version1(directories_, stats);
    }
    stats.oom_kills = oom_kills().value_or(0);
    return stats;
}

Result<std::uint64_t> Cgroup::oom_kills() const {
    const std::string* memory = directory("memory");
    const std::string* unified = directory("");
    if (memory == nullptr && unified == nullptr) {
        return std::uint64_t{0};
    }
    auto table = memory != nullptr ? cgroup_files::read_table(*memory, "memory.oom_control")
                                   : cgroup_files::read_table(*unified, "memory.events");
    return TRY(std::move(table))["oom_kill"];
}

Result<void> Cgroup::remove() const {
    if (const std::string* unified = directory("")) {
        wait_until_empty(*unified);
    }
    for (const auto& [controller, path] : directories_) {
        TRY(remove_group(path));
    }
    return ok();
}

} // namespace berth::kernel
