// SPDX-License-Identifier: Apache-2.0
// A socket file outlives a killed server, so a file that refuses connections is replaced.
#include "http/listener.h"

#include "base/free_with.h"
#include "base/strings.h"
#include "http/socket_io.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace berth::http {

namespace {

constexpr int backlog = 1024;

Result<sockaddr_un> unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return invalid_argument(
            "socket path \"" + path + "\" is empty or longer than " +
            std::to_string(sizeof(address.sun_path) - 1) + " bytes");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

const sockaddr* generic(const sockaddr_un& address) {
    // SAFETY: the socket calls take every address family through this type.
    return reinterpret_cast<const sockaddr*>(&address);
}

// Removes a socket file that nobody listens on.
Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
    struct stat status {};

    if (lstat(path.c_str(), &status) != 0) {
        return errno == ENOENT ? ok() : Result<void>(errno_error(path));
    }
    if (!S_ISSOCK(status.st_mode)) {
        return conflict(path + " exists and is not a socket");
    }
    UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) {
        return errno_error("socket");
    }
    if (connect(probe.get(), generic(address), sizeof(address)) == 0 || errno == EAGAIN) {
        return conflict("another process listens on " + path);
    }
    if (errno != ECONNREFUSED) {
        return errno_error(path);
    }
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
        return errno_error(path);
    }
    return ok();
}

Result<std::unique_ptr<addrinfo, FreeWith<freeaddrinfo>>> resolve(std::string_view address) {
    std::optional<Cut> parts = cut_last(address, ":");
    if (!parts) {
        return invalid_argument("\"" + std::string(address) + "\" is no address: host:port wanted");
    }
    std::string host(parts->before);
    std::string port(parts->after);
    TRY_CONTEXT(parse_number<std::uint16_t>(port), "port of " + std::string(address));
    if (host.starts_with("[") && host.ends_with("]")) {
        host = host.substr(1, host.size() - 2);
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    int error = getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
    if (error != 0) {
        return invalid_argument(std::string(address) + ": " + gai_strerror(error));
    }
    return std::unique_ptr<addrinfo, FreeWith<freeaddrinfo>>(found);
}

std::uint16_t bound_port(const UniqueFd& fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof(storage);
    // SAFETY: sockaddr_storage may be read as the family that the kernel says it is.
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    if (getsockname(fd.get(), address, &size) != 0) {
        return 0;
    }
    if (storage.ss_family == AF_INET6) {
        return ntohs(reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port);
    }
    return ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
}

} // namespace

Listener::Listener(Listener&& other) noexcept
    : fd_(std::move(other.fd_))
    , remove_path_(std::exchange(other.remove_path_, {}))
    , inode_(other.inode_)
    , tls_(std::move(other.tls_))
    , congestion_control_(std::move(other.congestion_control_))
    , port_(other.port_)
    , unix_(other.unix_) {}

Listener::~Listener() {
    struct stat status {};

    if (!remove_path_.empty() && lstat(remove_path_.c_str(), &status) == 0 &&
        status.st_ino == inode_) {
        unlink(remove_path_.c_str());
    }
}

Result<Listener>
Listener::open_unix(const std::string& path, mode_t mode, std::optional<gid_t> group) {
    sockaddr_un address = TRY(unix_address(path));
    TRY(remove_stale(path, address));
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return errno_error("socket");
    }
    // The socket's own mode before bind becomes the file's (less the umask), so that nobody whom
    // `mode` excludes can connect in between.
    if (fchmod(fd.get(), 0600) != 0 || bind(fd.get(), generic(address), sizeof(address)) != 0) {
        return errno_error("bind " + path);
    }
    Listener listener(std::move(fd), true);
    listener.remove_path_ = path;

    struct stat status {};

    if (lstat(path.c_str(), &status) != 0) {
        return errno_error(path);
    }
    listener.inode_ = status.st_ino;
    if (group && lchown(path.c_str(), static_cast<uid_t>(-1), *group) != 0) {
        return errno_error("change the group of " + path);
    }
    if (chmod(path.c_str(), mode) != 0) {
        return errno_error("change the mode of " + path);
    }
    if (listen(listener.fd_.get(), backlog) != 0) {
        return errno_error("listen on " + path);
    }
    return listener;
}

Result<Listener> Listener::open_tcp(std::string_view address) {
    auto addresses = TRY(resolve(address));
    Error last = invalid_argument(std::string(address) + ": no address");
    for (const addrinfo* candidate = addresses.get(); candidate; candidate = candidate->ai_next) {
        UniqueFd fd(
            socket(candidate->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
        std::string control = fd ? hold_back_pacing(fd) : std::string();
        int on = 1;
        if (fd && setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
            bind(fd.get(), candidate->ai_addr, candidate->ai_addrlen) == 0 &&
            listen(fd.get(), backlog) == 0) {
            Listener listener(std::move(fd), false);
            listener.port_ = bound_port(listener.fd_);
            listener.congestion_control_ = std::move(control);
            return listener;
        }
        last = errno_error("listen on " + std::string(address));
    }
    return last;
}

Result<Listener> Listener::adopt(UniqueFd socket) {
    int listening = 0;
    int domain = 0;
    socklen_t size = sizeof(int);
    if (getsockopt(socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 ||
        getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || listening == 0) {
        return invalid_argument("the descriptor handed over is no listening socket");
    }
    int flags = fcntl(socket.get(), F_GETFL);
    if (flags < 0 || fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0) {
        return errno_error("adopt a listening socket");
    }
    Listener listener(std::move(socket), domain == AF_UNIX);
    listener.port_ = listener.unix_ ? std::uint16_t{0} : bound_port(listener.fd_);
    return listener;
}

} // namespace berth::http
