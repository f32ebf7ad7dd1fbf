// SPDX-License-Identifier: Apache-2.0
// Taking a connection over for attach and exec, with the head that Docker's clients expect.
#pragma once

#include "api/context.h"
#include "http/response_writer.h"

#include <cstdint>

namespace berth::api {

enum class Streams : std::uint8_t { Raw, Multiplexed };

// The head is written; what follows belongs to the stream. The connection is blocking.
Result<http::Hijacked> hijack_stream(Context& context, Streams streams);

// The head that dockerd answers an upgrade to h2c with is written; what follows is HTTP/2. The
// connection is blocking. InvalidArgument, too late for an answer, when the client did not wait.
Result<UniqueFd> hijack_for_http2(Context& context);

// raw-stream, or from 1.42 on multiplexed-stream for what has no terminal.
std::string_view stream_type(const Context& context, Streams streams);

} // namespace berth::api
