// SPDX-License-Identifier: Apache-2.0
// Ancillary data handling in one place.
#include "kernel/socket.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

Result<sockaddr_un> socket_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return invalid_argument("socket path " + path + " is longer than 107 bytes");
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

} // namespace

Result<SocketPair> socket_pair(int type) {
    int fds[2];
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0) {
        return errno_error("socketpair");
    }
    return SocketPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<UniqueFd> listen_unix(const std::string& path, mode_t mode, int type) {
    sockaddr_un address = TRY(socket_address(path));
    UniqueFd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    if (!socket) {
        return errno_error("socket");
    }
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) {
        return errno_error("remove old socket " + path);
    }
    // fchmod before bind gives the file its mode from birth: there is no moment with a wider one.
    if (::fchmod(socket.get(), mode) < 0 ||
        ::bind(socket.get(), generic(address), sizeof address) < 0 ||
        ::chmod(path.c_str(), mode) < 0 || ::listen(socket.get(), 128) < 0) {
        return errno_error("listen on " + path);
    }
    return socket;
}

Result<UniqueFd> connect_unix(const std::string& path, int type) {
    sockaddr_un address = TRY(socket_address(path));
    UniqueFd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    if (!socket) {
        return errno_error("socket");
    }
    while (::connect(socket.get(), generic(address), sizeof address) < 0) {
        if (errno == EINTR) {
            continue;
        }
        Error error = errno_error("connect to " + path);
        bool absent = error.error_number() == ENOENT || error.error_number() == ECONNREFUSED;
        return absent ? std::move(error).as(ErrorKind::NotFound) : error;
    }
    return socket;
}

Result<std::size_t>
send_with_descriptors(FdRef socket, std::string_view bytes, std::span<const int> descriptors) {
    VERIFY(descriptors.size() <= max_passed_descriptors && !bytes.empty());
    iovec vector{const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_passed_descriptors)> control{};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    }
    while (true) {
        ssize_t sent = ::sendmsg(socket.get(), &message, MSG_NOSIGNAL);
        if (sent >= 0) {
            return static_cast<std::size_t>(sent);
        }
        if (errno != EINTR) {
            return errno_error("send on a unix socket");
        }
    }
}

Result<Received> receive_with_descriptors(FdRef socket, std::span<char> buffer) {
    iovec vector{buffer.data(), buffer.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_passed_descriptors)> control{};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t got = -1;
    while ((got = ::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC)) < 0) {
        if (errno != EINTR) {
            return errno_error("receive on a unix socket");
        }
    }
    Received received;
    received.size = static_cast<std::size_t>(got);
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            received.descriptors.emplace_back(fd);
        }
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
        return Error(ErrorKind::DataLoss, "descriptors were cut off a message");
    }
    return received;
}

Result<ucred> peer_credentials(FdRef socket) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) {
        return errno_error("SO_PEERCRED");
    }
    return credentials;
}

} // namespace berth::kernel
