// SPDX-License-Identifier: Apache-2.0
// Taking a connection over for attach and exec, with the head that Docker's clients expect.
#include "api/hijack.h"

#include "api/docker_py.h"
#include "base/file.h"
#include "base/poll.h"

#include <linux/sockios.h>

#include <chrono>

#include <fcntl.h>
#include <sys/ioctl.h>

namespace berth::api {

namespace {

// docker-py reads the head through a buffer and the stream past it: what arrives together with the
// head is lost to it. dockerd is slow enough that this never shows; here the first bytes may be
// there before the client has woken up. So its streams start when it has read the head.
// For a Unix socket SIOCOUTQ counts what the peer has not read. For TCP it counts what the peer's
// kernel has not acknowledged, which is the best there is.
void wait_until_read(const UniqueFd& connection) {
    const auto is_read = [&connection] {
        int unread = 0;
        return ::ioctl(connection.get(), SIOCOUTQ, &unread) < 0 || unread == 0;
    };
    poll_until(is_read, std::chrono::microseconds(50), std::chrono::milliseconds(100));
}

Result<http::Hijacked> take_connection(Context& context, std::string_view head) {
    TRY(context.discard_body());
    http::Hijacked hijacked = TRY(context.response().hijack());
    // The head is smaller than any socket buffer, and whoever serves the stream sets its own mode.
    const int flags = ::fcntl(hijacked.fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(hijacked.fd.get(), F_SETFL, flags & ~O_NONBLOCK) < 0) {
        return errno_error("taking the connection over");
    }
    TRY(write_all(hijacked.fd, head));
    return hijacked;
}

} // namespace

Result<UniqueFd> hijack_for_http2(Context& context) {
    http::Hijacked hijacked = TRY(take_connection(
        context,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"));
    if (!hijacked.leftover.empty()) {
        return invalid_argument("the client sent data before its upgrade was answered");
    }
    return std::move(hijacked.fd);
}

std::string_view stream_type(const Context& context, Streams streams) {
    const bool is_multiplexed = streams == Streams::Multiplexed && !context.before(42);
    return is_multiplexed ? http::multiplexed_stream_type : http::raw_stream_type;
}

Result<http::Hijacked> hijack_stream(Context& context, Streams streams) {
    // Without an upgrade dockerd always says raw-stream, whatever follows.
    const bool upgrades = !context.request().upgrade_protocol().empty();
    const std::string head = http::upgrade_response(
        context.request(), upgrades ? stream_type(context, streams) : http::raw_stream_type);
    // Hijacking wants the body read; attach and detached streams have none worth keeping.
    http::Hijacked hijacked = TRY(take_connection(context, head));
    if (is_docker_py(context.request())) {
        wait_until_read(hijacked.fd);
    }
    return hijacked;
}

} // namespace berth::api
