// SPDX-License-Identifier: Apache-2.0
// systemd broadcasts its signals to everybody on its own socket; a message bus must be asked.
#include "kernel/dbus_connection.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/socket.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds call_deadline{30};
constexpr std::size_t max_line = 512;
constexpr const char* manager = "org.freedesktop.systemd1";

struct Places {
    std::string direct;
    std::string bus;
    std::uint64_t uid = 0; // as the other side sees it
};

// Root of a user namespace is somebody else outside.
std::uint64_t outer_uid() {
    const std::string map = read_file("/proc/self/uid_map").value_or("");
    const std::vector<std::string_view> line =
        words(std::string_view(map).substr(0, map.find('\n')));
    const auto uid = static_cast<std::uint64_t>(::geteuid());
    if (line.size() < 2) {
        return uid;
    }
    std::uint64_t inside = parse_number<std::uint64_t>(line[0]).value_or(0);
    std::uint64_t outside = parse_number<std::uint64_t>(line[1]).value_or(0);
    return uid >= inside ? uid - inside + outside : uid;
}

// "unix:path=/run/user/1000/bus,guid=…;…": the first that is a path.
std::optional<std::string> session_bus() {
    const char* addresses = std::getenv("DBUS_SESSION_BUS_ADDRESS");
    constexpr std::string_view prefix = "unix:path=";
    for (std::string_view address : split(addresses == nullptr ? "" : addresses, ';')) {
        if (address.starts_with(prefix)) {
            address.remove_prefix(prefix.size());
            return std::string(address.substr(0, address.find(',')));
        }
    }
    return std::nullopt;
}

Places places() {
    std::uint64_t uid = outer_uid();
    if (uid == 0) {
        return {"/run/systemd/private", "/run/dbus/system_bus_socket", uid};
    }
    const char* folder = std::getenv("XDG_RUNTIME_DIR");
    std::string runtime = folder != nullptr ? folder : "/run/user/" + std::to_string(uid);
    return {runtime + "/systemd/private", session_bus().value_or(runtime + "/bus"), uid};
}

Result<void> send_bytes(const UniqueFd& socket, std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno_error("send to systemd");
        }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return ok();
}

} // namespace

bool systemd_is_the_users() {
    return outer_uid() != 0;
}

Result<SystemdConnection> SystemdConnection::open() {
    const Places there = places();
    Result<UniqueFd> direct = connect_unix(there.direct);
    const bool is_bus = !direct.ok();
    Result<UniqueFd> socket = !is_bus ? std::move(direct) : connect_unix(there.bus);
    if (!socket.ok()) {
        return Error(
            ErrorKind::Unavailable,
            "the systemd cgroup driver needs systemd: neither " + there.direct + " nor " +
                there.bus + " answers");
    }
    SystemdConnection connection(std::move(*socket));
    connection.deadline_ = Clock::now() + call_deadline;
    TRY_CONTEXT(connection.authenticate(there.uid), "authenticate with systemd");
    if (is_bus) {
        TRY_CONTEXT(connection.greet_bus(), "the message bus");
    }
    return connection;
}

Result<void> SystemdConnection::fill(std::size_t size) {
    std::array<char, 4096> buffer{};
    while (received_.size() < size) {
        auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
        pollfd wait{socket_.get(), POLLIN, 0};
        int ready = left.count() > 0 ? ::poll(&wait, 1, static_cast<int>(left.count())) : 0;
        if (ready == 0) {
            return Error(ErrorKind::DeadlineExceeded, "systemd does not answer");
        }
        ssize_t got = ready < 0 ? -1 : ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (got < 0 && errno != EINTR) {
            return errno_error("receive from systemd");
        }
        if (got == 0) {
            return Error(ErrorKind::Unavailable, "systemd closed the connection");
        }
        if (got > 0) {
            received_.append(buffer.data(), static_cast<std::size_t>(got));
        }
    }
    return ok();
}

// https://dbus.freedesktop.org/doc/dbus-specification.html#auth-protocol
Result<void> SystemdConnection::authenticate(std::uint64_t uid) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    for (char digit : std::to_string(uid)) {
        hex += digits[static_cast<unsigned char>(digit) >> 4U];
        hex += digits[static_cast<unsigned char>(digit) & 15U];
    }
    // BEGIN may follow unasked: a refusal ends the connection anyway.
    std::string hello("\0AUTH EXTERNAL ", 15);
    TRY(send_bytes(socket_, hello + hex + "\r\nBEGIN\r\n"));
    std::size_t end = std::string::npos;
    while ((end = received_.find("\r\n")) == std::string::npos) {
        if (received_.size() > max_line) {
            return Error(ErrorKind::DataLoss, "the answer has no end");
        }
        TRY(fill(received_.size() + 1));
    }
    std::string line = received_.substr(0, end);
    received_.erase(0, end + 2);
    return line.starts_with("OK ") ? ok() : Result<void>(Error(ErrorKind::Forbidden, line));
}

Result<void> SystemdConnection::greet_bus() {
    DbusCall call{
        .destination = "org.freedesktop.DBus",
        .path = "/org/freedesktop/DBus",
        .interface = "org.freedesktop.DBus",
        .member = "Hello",
        .signature = "",
        .body = ""};
    TRY(exchange(call));
    DbusWriter match;
    match.text("type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'");
    call.member = "AddMatch";
    call.signature = "s";
    call.body = match.bytes();
    TRY(exchange(call));
    destination_ = manager;
    TRY(this->call("Subscribe", "", ""));
    return ok();
}

Result<DbusMessage> SystemdConnection::next() {
    TRY(fill(dbus_head_size));
    std::size_t size = TRY(dbus_message_size(received_));
    TRY(fill(size));
    DbusMessage message = TRY(parse_dbus_message(std::string_view(received_).substr(0, size)));
    received_.erase(0, size);
    if (message.kind == DbusKind::Signal && message.member == "JobRemoved" &&
        message.signature == "uoss") {
        std::vector<std::string> values = TRY(message.values());
        ended_jobs_[values[1]] = values[3];
    }
    return message;
}

Result<DbusMessage> SystemdConnection::exchange(const DbusCall& call) {
    const std::uint32_t serial = ++serial_;
    deadline_ = Clock::now() + call_deadline;
    TRY(send_bytes(socket_, encode_dbus_call(call, serial)));
    while (true) {
        DbusMessage message = TRY(next());
        if (message.reply_to != serial) {
            continue;
        }
        if (message.kind == DbusKind::Error) {
            std::vector<std::string> values = message.values().value_or({});
            return Error(
                ErrorKind::Unavailable,
                message.error + ": " + (values.empty() ? "no reason given" : values[0]));
        }
        return message;
    }
}

Result<DbusMessage>
SystemdConnection::call(const std::string& member, const std::string& signature, std::string body) {
    return exchange(
        {.destination = destination_,
         .path = "/org/freedesktop/systemd1",
         .interface = std::string(manager) + ".Manager",
         .member = member,
         .signature = signature,
         .body = std::move(body)});
}

Result<std::string> SystemdConnection::run_job(
    const std::string& member, const std::string& signature, std::string body) {
    DbusMessage answer = TRY(call(member, signature, std::move(body)));
    std::vector<std::string> values = TRY(answer.values());
    if (values.empty()) {
        return Error(ErrorKind::DataLoss, "systemd answers " + member + " without a job");
    }
    while (!ended_jobs_.contains(values[0])) {
        TRY(next());
    }
    return ended_jobs_[values[0]];
}

} // namespace berth::kernel
