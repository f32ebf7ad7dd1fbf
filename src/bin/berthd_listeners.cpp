// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/listeners.
#include "bin/berthd_listeners.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"

#include <array>
#include <cstdlib>
#include <memory>
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

// `address` is "" or "*" for all that were passed, or a number.
Result<void> adopt_passed(
    http::Server& server, std::string_view address, const std::shared_ptr<http::TlsContext>& tls) {
    const char* pid = std::getenv("LISTEN_PID");
    const char* count = std::getenv("LISTEN_FDS");
    if (pid == nullptr || count == nullptr || parse_number<pid_t>(pid).value_or(0) != getpid()) {
        return invalid_argument(
            "no sockets found via socket activation: make sure the service was started by systemd");
    }
    int first = first_passed_fd;
    int last = first_passed_fd + parse_number<int>(count).value_or(0) - 1;
    if (!address.empty() && address != "*") {
        const auto number = parse_number<int>(address);
        if (!number.ok() || *number < first || *number > last) {
            return invalid_argument(
                "fd://" + std::string(address) + ": no such socket was passed by systemd");
        }
        first = *number;
        last = *number;
    }
    for (int fd = first; fd <= last; ++fd) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
            return errno_error("socket passed by systemd");
        }
        TRY(server.adopt(UniqueFd(fd), tls));
    }
    return ok();
}

// dockerd's defaults lie where its client's do.
std::string tls_file(const std::string& given, const char* name) {
    if (!given.empty()) {
        return given;
    }
    const char* folder = std::getenv("DOCKER_CERT_PATH");
    const char* home = std::getenv("HOME");
    return (folder != nullptr && *folder != '\0'
                ? std::string(folder)
                : std::string(home == nullptr ? "/root" : home) + "/.docker") +
           "/" + name;
}

Result<std::shared_ptr<http::TlsContext>>
tls_context(const engine::DaemonConfig& config, const std::shared_ptr<front::Front>& front) {
    if (!config.uses_tls()) {
        return std::shared_ptr<http::TlsContext>();
    }
    http::TlsOptions options{
        .certificate_file = tls_file(config.tls_certificate, "cert.pem"),
        .key_file = tls_file(config.tls_key, "key.pem")};
    if (config.verifies_clients()) {
        options.client_ca_file = tls_file(config.tls_ca, "ca.pem");
    }
    return TRY_CONTEXT(front::Front::serve_tls(front, options), "invalid TLS configuration");
}

// moby's opts/hosts.go, ParseTCPAddr: what is left out is localhost and Docker's port.
std::string complete_address(std::string_view address, bool tls) {
    const std::size_t bracket = address.rfind(']');
    const std::size_t colon = address.rfind(':');
    const bool has_port =
        colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
    const std::string_view host = has_port ? address.substr(0, colon) : address;
    const std::string_view port = has_port ? address.substr(colon + 1) : std::string_view();
    return std::string(host.empty() ? "localhost" : host) + ":" +
           (port.empty() ? std::string(tls ? "2376" : "2375") : std::string(port));
}

bool is_loopback(std::string_view address) {
    return address.starts_with("localhost:") || address.starts_with("127.") ||
           address.starts_with("[::1]:");
}

Result<void> listen_tcp(
    http::Server& server,
    const std::string& host,
    std::string_view address,
    const std::shared_ptr<http::TlsContext>& tls,
    bool verified) {
    if (!verified) {
        log::warn(
            "Binding to IP address without --tlsverify is insecure and gives root access on "
            "this machine to everyone who has access to your network.",
            {{"host", host}});
        log::warn(
            "Binding to an IP address, even on localhost, can also give access to scripts run in "
            "a browser. Be safe out there!",
            {{"host", host}});
    }
    const std::string complete = complete_address(address, tls != nullptr);
    if (!verified && !is_loopback(complete)) {
        log::warn("The engine's containers reach this address too", {{"host", host}});
    }
    TRY(server.listen_tcp(complete, tls));
    return ok();
}

} // namespace

Result<void> add_listeners(
    http::Server& server,
    const engine::DaemonConfig& config,
    const std::shared_ptr<front::Front>& front) {
    const std::shared_ptr<http::TlsContext> tls = TRY(tls_context(config, front));
    for (const std::string& host : config.hosts) {
        const auto parts = cut(host, "://");
        const std::string_view scheme = parts ? parts->before : "tcp"; // "0.0.0.0:2375"
        const std::string_view address = parts ? parts->after : std::string_view(host);
        if (scheme == "unix") {
            const std::string path(address);
            TRY(make_directories(path.substr(0, path.rfind('/') + 1), 0755));
            const std::optional<gid_t> group = TRY(socket_group(config.group));
            TRY(server.listen_unix(path, 0660, group));
        } else if (scheme == "tcp") {
            TRY(listen_tcp(server, host, address, tls, config.verifies_clients()));
        } else if (scheme == "fd") {
            TRY(adopt_passed(server, address, tls));
        } else {
            return invalid_argument("invalid bind address (" + host + "): unsupported proto");
        }
        log::info("API listen on " + std::string(address));
    }
    return ok();
}

} // namespace berth::bin
