// SPDX-License-Identifier: Apache-2.0
// Whole transfers on non-blocking sockets for threads that may wait: EAGAIN becomes poll(2) with a
// time limit. Internal to this library.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/tls.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <sys/uio.h>

namespace berth::http {

using Milliseconds = std::chrono::milliseconds;

// Where a connection's bytes go: its socket, through TLS where it has that.
struct Wire {
    FdRef fd;
    TlsSession* tls = nullptr;
    // However often a byte comes or goes: DeadlineExceeded after it.
    std::optional<std::chrono::steady_clock::time_point> deadline = {};

    Wire(FdRef socket, TlsSession* session = nullptr)
        : fd(socket)
        , tls(session) {}

    Wire(const UniqueFd& socket)
        : fd(socket) {}

    // As recv(2), and send(2) that neither waits nor raises a signal.
    ssize_t receive(std::span<char> buffer) const;
    ssize_t send(std::string_view bytes) const;
};

// DeadlineExceeded when the socket is not ready in time; a limit of 0 waits for ever.
Result<void> wait_readable(Wire wire, Milliseconds limit);
Result<void> wait_writable(Wire wire, Milliseconds limit);

// At least one byte; 0 when the peer has finished. A limit of 0 waits for ever.
// DeadlineExceeded when the time is up, Cancelled when the connection broke.
Result<std::size_t> receive_some(Wire wire, std::span<char> buffer, Milliseconds limit);

// All of it; the limit counts from the last byte that the peer took. The parts are used up.
Result<void> send_parts(Wire wire, std::span<iovec> parts, Milliseconds limit);
Result<void> send_bytes(Wire wire, std::string_view bytes, Milliseconds limit);

struct FilePart {
    FdRef file;
    std::uint64_t offset;
    std::uint64_t length;
};

// `head`, and the file's part behind it in the same packets; by sendfile(2) where there is no TLS.
Result<void> send_from_file(Wire wire, std::string_view head, FilePart part, Milliseconds limit);

// Takes the congestion control of a TCP socket that listens or is about to connect, and gives it
// the plainest one: one that paces what it sends (BBR, where that is the machine's default) costs
// half of the throughput within the machine, and a connection that began with it is paced for good.
// Returns what the socket had, for prepare_tcp.
std::string hold_back_pacing(FdRef fd);

// Of a fresh TCP connection: no wait for small segments and, when it leaves the machine, the
// congestion control that was taken from its socket, unless that is empty.
void prepare_tcp(FdRef fd, const std::string& control);

iovec as_iovec(std::string_view bytes);

} // namespace berth::http
