// SPDX-License-Identifier: Apache-2.0
// Taking a connection over for attach and exec, with the head that Docker's clients expect.
#include "api/hijack.h"

#include "base/file.h"

#include <fcntl.h>

namespace berth::api {

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

} // namespace berth::api
