// SPDX-License-Identifier: Apache-2.0
// Unix sockets that carry descriptors: unix(7), SCM_RIGHTS, SO_PEERCRED.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>
#include <sys/types.h>

namespace berth::kernel {

inline constexpr std::size_t max_passed_descriptors = 16;

struct SocketPair {
    UniqueFd first;
    UniqueFd second;
};

// type: SOCK_STREAM, SOCK_SEQPACKET or SOCK_DGRAM, possibly with SOCK_NONBLOCK; close-on-exec is
// added.
Result<SocketPair> socket_pair(int type);

// Binds and listens. A path of more than 107 bytes is InvalidArgument; an old socket file is
// replaced.
Result<UniqueFd> listen_unix(const std::string& path, mode_t mode, int type = SOCK_STREAM);

// NotFound when nobody listens there (ENOENT, ECONNREFUSED).
Result<UniqueFd> connect_unix(const std::string& path, int type = SOCK_STREAM);

// One sendmsg(2) with SIGPIPE suppressed; returns how many bytes went. Descriptors go with the
// first byte.
Result<std::size_t>
send_with_descriptors(FdRef socket, std::string_view bytes, std::span<const int> descriptors);

struct Received {
    std::size_t size = 0; // 0: the peer has closed
    std::vector<UniqueFd> descriptors;
};

// One recvmsg(2). Received descriptors are close-on-exec. DataLoss when the kernel cut descriptors
// off.
Result<Received> receive_with_descriptors(FdRef socket, std::span<char> buffer);

// SO_PEERCRED: who connected (or listened).
Result<ucred> peer_credentials(FdRef socket);

} // namespace berth::kernel
