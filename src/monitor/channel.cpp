// SPDX-License-Identifier: Apache-2.0
// Messages and descriptors over stream sockets (unix(7), SCM_RIGHTS).
#include "monitor/channel.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace berth::monitor {
namespace {

constexpr std::size_t receive_size = 4096;
constexpr std::size_t queued_descriptor_limit = 16;
constexpr int listen_backlog = 16;

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        return invalid_argument("socket path " + path + " is longer than 107 bytes");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

Result<UniqueFd> stream_socket() {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) {
        return errno_error("socket");
    }
    return fd;
}

// SAFETY: bind(2) and connect(2) take the address of any family by its common beginning.
const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

struct ControlBuffer {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * message_descriptor_limit)> bytes{};
};

void take_descriptors(msghdr& message, std::deque<UniqueFd>& out) {
    for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
         control = CMSG_NXTHDR(&message, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
            out.emplace_back(fd);
        }
    }
}

void put_descriptors(
    msghdr& message, ControlBuffer& buffer, const std::vector<FdRef>& descriptors) {
    const std::size_t size = descriptors.size() * sizeof(int);
    message.msg_control = buffer.bytes.data();
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(size);
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
        const int fd = descriptors[i].get();
        std::memcpy(CMSG_DATA(control) + i * sizeof(int), &fd, sizeof fd);
    }
}

} // namespace

Result<bool> MessageReceiver::receive(FdRef socket) {
    const std::size_t before = buffer_.size();
    buffer_.resize(before + receive_size);
    ControlBuffer control;
    iovec part{.iov_base = buffer_.data() + before, .iov_len = receive_size};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    const ssize_t count = recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    const int error_number = errno;
    buffer_.resize(before + (count > 0 ? static_cast<std::size_t>(count) : 0));
    if (count < 0) {
        if (error_number == EAGAIN || error_number == EINTR) {
            return true;
        }
        return Error::from_errno("receive from the monitor's socket", error_number);
    }
    take_descriptors(message, descriptors_);
    if (descriptors_.size() > queued_descriptor_limit) {
        return invalid_argument("more descriptors than messages of the monitor protocol");
    }
    return count > 0;
}

Result<std::optional<Message>> MessageReceiver::next() {
    if (buffer_.size() < message_header_size) {
        return std::optional<Message>();
    }
    Message message;
    message.header = TRY(decode_header(std::string_view(buffer_).substr(0, message_header_size)));
    const std::size_t whole = message_header_size + message.header.body_size;
    if (buffer_.size() < whole) {
        buffer_.reserve(whole + receive_size);
        return std::optional<Message>();
    }
    if (descriptors_.size() < message.header.descriptors) {
        return invalid_argument("a message of the monitor protocol lacks its descriptors");
    }
    message.body = buffer_.substr(message_header_size, message.header.body_size);
    buffer_.erase(0, whole);
    if (buffer_.empty()) {
        buffer_ = std::string(); // a big message must not stay as capacity
    }
    for (std::uint16_t i = 0; i < message.header.descriptors; ++i) {
        message.descriptors.push_back(std::move(descriptors_.front()));
        descriptors_.pop_front();
    }
    return std::optional(std::move(message));
}

Result<std::size_t>
send_some(FdRef socket, std::string_view bytes, const std::vector<FdRef>& descriptors) {
    VERIFY(descriptors.size() <= message_descriptor_limit);
    ControlBuffer control;
    iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        put_descriptors(message, control, descriptors);
    }
    ssize_t count = 0;
    do {
        count = sendmsg(socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno != EAGAIN) {
        return errno_error("send to the monitor's socket");
    }
    return count < 0 ? 0 : static_cast<std::size_t>(count);
}

Result<void>
send_whole(FdRef socket, std::string_view bytes, const std::vector<FdRef>& descriptors) {
    std::vector<FdRef> unsent = descriptors;
    while (!bytes.empty()) {
        const std::size_t count = TRY(send_some(socket, bytes, unsent));
        if (count == 0) {
            pollfd writable{.fd = socket.get(), .events = POLLOUT, .revents = 0};
            (void)poll(&writable, 1, -1);
            continue;
        }
        unsent.clear();
        bytes.remove_prefix(count);
    }
    return ok();
}

Result<UniqueFd> listen_at(const std::string& path) {
    const sockaddr_un address = TRY(address_of(path));
    UniqueFd fd = TRY(stream_socket());
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
        return errno_error("remove " + path);
    }
    // The mode is the socket's before it has a name, so nobody else gets in meanwhile.
    if (fchmod(fd.get(), 0600) != 0 || bind(fd.get(), generic(address), sizeof address) != 0 ||
        listen(fd.get(), listen_backlog) != 0) {
        return errno_error("listen at " + path);
    }
    return fd;
}

Result<UniqueFd> connect_to(const std::string& path) {
    const sockaddr_un address = TRY(address_of(path));
    UniqueFd fd = TRY(stream_socket());
    if (connect(fd.get(), generic(address), sizeof address) != 0) {
        const int error_number = errno;
        Error error = Error::from_errno("connect to the monitor at " + path, error_number);
        const bool nobody = error_number == ENOENT || error_number == ECONNREFUSED;
        return nobody ? std::move(error).as(ErrorKind::NotFound) : error;
    }
    return fd;
}

bool peer_is_trusted(FdRef socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

} // namespace berth::monitor
