// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/listeners.
#include "bin/berthd_listeners.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"

#include <array>
#include <cstdlib>
#include <optional>

#include <fcntl.h>
#include <grp.h>
#include <unistd.h>

namespace berth::bin {
namespace {

// sd_listen_fds(3): sockets are passed from this number on.
constexpr int first_passed_fd = 3;

Result<std::optional<gid_t>> socket_group(const std::string& name) {
    if (name.empty()) {
        return std::optional<gid_t>();
    }
    if (auto number = parse_number<gid_t>(name); number.ok()) {
        return std::optional<gid_t>(*number);
    }
    std::array<char, 16384> buffer{};
    group entry{};
    group* found = nullptr;
    if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
        found != nullptr) {
        return std::optional<gid_t>(found->gr_gid);
    }
    // dockerd's default group may be missing; one that was asked for must be there.
    if (name == "docker") {
        log::warn("could not change group of the socket to docker: group docker not found");
        return std::optional<gid_t>();
    }
    return not_found("group " + name + " not found");
}

Result<void> adopt_passed(http::Server& server) {
    const char* pid = std::getenv("LISTEN_PID");
    const char* count = std::getenv("LISTEN_FDS");
    if (pid == nullptr || count == nullptr || parse_number<pid_t>(pid).value_or(0) != getpid()) {
        return invalid_argument(
            "no sockets found via socket activation: make sure the service was started by systemd");
    }
    const int number = parse_number<int>(count).value_or(0);
    for (int fd = first_passed_fd; fd < first_passed_fd + number; ++fd) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
            return errno_error("socket passed by systemd");
        }
        TRY(server.adopt(UniqueFd(fd)));
    }
    return ok();
}

} // namespace

Result<void> add_listeners(http::Server& server, const engine::DaemonConfig& config) {
    for (const std::string& host : config.hosts) {
        auto parts = cut(host, "://");
        const std::string_view scheme = parts ? parts->before : "";
        if (scheme == "unix") {
            const std::string path(parts->after);
            TRY(make_directories(path.substr(0, path.rfind('/') + 1), 0755));
            const std::optional<gid_t> group = TRY(socket_group(config.group));
            TRY(server.listen_unix(path, 0660, group));
        } else if (scheme == "tcp") {
            log::warn(
                "binding to IP address without --tlsverify is insecure and gives root access on "
                "this machine to everyone who has access to your network",
                {{"host", host}});
            std::string address(parts->after);
            if (address.find(':') == std::string::npos) {
                address += ":2375";
            }
            TRY(server.listen_tcp(address));
        } else if (scheme == "fd") {
            TRY(adopt_passed(server));
        } else {
            return invalid_argument("invalid bind address (" + host + "): unsupported proto");
        }
        log::info("API listen on " + std::string(parts->after));
    }
    return ok();
}

} // namespace berth::bin
