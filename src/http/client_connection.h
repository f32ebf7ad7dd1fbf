// SPDX-License-Identifier: Apache-2.0
// Connecting with a time limit. Internal to this library.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/client.h"
#include "http/socket_io.h"

namespace berth::http {

// A non-blocking socket. Unavailable or Forbidden with errno and the endpoint's name.
Result<UniqueFd> open_connection(const Endpoint& endpoint, Milliseconds limit);

// False once the server hung up, or sent something that nobody asked for.
bool is_still_open(const UniqueFd& fd);

Result<void> set_blocking(const UniqueFd& fd);

} // namespace berth::http
