// SPDX-License-Identifier: Apache-2.0
// After what dockerd does before it opens its store.
#include "bin/berthd_process.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/unique_fd.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace berth::bin {

std::string program_directory() {
    std::array<char, 4096> path{};
    const ssize_t size = readlink("/proc/self/exe", path.data(), path.size() - 1);
    std::string directory(path.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    const auto go_up = [&directory] {
        directory.resize(std::min(directory.rfind('/'), directory.size()));
    };
    go_up();
    if (exists(directory + "/berth-monitor")) {
        return directory;
    }
    go_up(); // from <prefix>/bin
    return directory + "/libexec/berth";
}

namespace {

// The number may be another program's by now, or that of a daemon whose parent does not reap it.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: "pid (name) state …".
bool is_daemon(pid_t pid) {
    const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat");
    if (!stat.ok()) {
        return false;
    }
    const std::size_t open = stat->find('(');
    const std::size_t close = stat->rfind(") ");
    if (open == std::string::npos || close == std::string::npos || close + 2 >= stat->size()) {
        return false;
    }
    const std::string name = stat->substr(open + 1, close - open - 1);
    const char state = (*stat)[close + 2];
    return (name == "berthd" || name == "dockerd") && state != 'Z' && state != 'X';
}

} // namespace

Result<void> write_pid_file(const std::string& path) {
    if (auto text = read_file(path); text.ok()) {
        const pid_t pid = parse_number<pid_t>(trim(*text)).value_or(0);
        if (pid > 0 && pid != getpid() && is_daemon(pid)) {
            return conflict(
                "failed to start daemon, ensure the daemon is not running or delete " + path +
                ": process with PID " + std::to_string(pid) + " is still running");
        }
    }
    TRY(make_directories(path.substr(0, path.rfind('/') + 1)));
    return replace_file(path, std::to_string(getpid()), 0644, Sync::No);
}

void set_proxies(const engine::DaemonConfig& config) {
    for (const auto& [name, value] :
         {std::pair<const char*, const std::string&>{"HTTP_PROXY", config.http_proxy},
          {"HTTPS_PROXY", config.https_proxy},
          {"NO_PROXY", config.no_proxy}}) {
        if (value.empty()) {
            continue;
        }
        for (const std::string& spelling : {std::string(name), to_lower(name)}) {
            const char* old = std::getenv(spelling.c_str());
            if (old != nullptr && value != old) {
                log::warn(
                    "overriding existing proxy variable with value from configuration",
                    {{"name", spelling}});
            }
            ::setenv(spelling.c_str(), value.c_str(), 1);
        }
    }
}

// https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
void notify_system(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::size_t size = path == nullptr ? 0 : std::strlen(path);
    if (size < 2 || size >= sizeof(address.sun_path)) {
        return;
    }
    std::memcpy(address.sun_path, path, size);
    if (*path == '@') {
        address.sun_path[0] = '\0'; // an abstract name
    }
    std::string message(state);
    if (state.starts_with("RELOADING")) {
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC, &now);
        message +=
            "\nMONOTONIC_USEC=" + std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1'000);
    }
    const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
    // SAFETY: the call takes every address family through this type.
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL, generic, length) < 0) {
        log::warn("cannot tell systemd, ignoring", {{"state", state}, {"error", errno}});
    }
}

sigset_t prepare_process() {
    // Two arenas: more of them cost memory, and threads here mostly wait.
    mallopt(M_ARENA_MAX, 2);
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    std::signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
        sigaddset(&signals, number);
    }
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return signals;
}

} // namespace berth::bin
