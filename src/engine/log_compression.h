// SPDX-License-Identifier: Apache-2.0
// Log files that were rotated: compressed, and made readable again.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "io/log_output.h"

#include <chrono>
#include <stop_token>
#include <string>

namespace berth::engine {

// The plain bytes, in a file without a name.
Result<UniqueFd> decompress_log(const std::string& directory, UniqueFd compressed);

// Compresses what was rotated and not written for `quiet`: a log that is written so fast that its
// files go sooner costs nothing. True when there are younger ones, for which to come again.
Result<bool> compress_rotated_logs(
    const io::LogOptions& log, std::chrono::milliseconds quiet, const std::stop_token& stop);

} // namespace berth::engine
