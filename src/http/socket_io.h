// SPDX-License-Identifier: Apache-2.0
// Whole transfers on non-blocking sockets for threads that may wait: EAGAIN becomes poll(2) with a
// time limit. Internal to this library.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include <sys/uio.h>

namespace berth::http {

using Milliseconds = std::chrono::milliseconds;

// At least one byte; 0 when the peer has finished. A limit of 0 waits for ever.
// DeadlineExceeded when the time is up, Cancelled when the connection broke.
Result<std::size_t> receive_some(FdRef socket, std::span<char> buffer, Milliseconds limit);

// All of it; the limit counts from the last byte that the peer took. The parts are used up.
Result<void> send_parts(FdRef socket, std::span<iovec> parts, Milliseconds limit);
Result<void> send_bytes(FdRef socket, std::string_view bytes, Milliseconds limit);
Result<void> send_from_file(
    FdRef socket, FdRef file, std::uint64_t offset, std::uint64_t length, Milliseconds limit);

iovec as_iovec(std::string_view bytes);

} // namespace berth::http
