// SPDX-License-Identifier: Apache-2.0
// The client's side of TLS for LogConnection.
#pragma once

#include "engine/log_drivers/log_connection.h"

namespace berth::engine {

// DeadlineExceeded, or Cancelled by the token.
Result<void> wait_for_socket(
    FdRef fd, short events, std::chrono::milliseconds limit, const std::stop_token& stop);

// Shakes hands: the server must prove `host`, unless verification is skipped.
Result<std::unique_ptr<LogConnection>>
open_log_tls(UniqueFd fd, const std::string& host, const LogTls& tls, std::stop_token stop);

} // namespace berth::engine
