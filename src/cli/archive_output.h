// SPDX-License-Identifier: Apache-2.0
// Where save and export write: a file or standard output.
#pragma once

#include "base/result.h"
#include "codec/stream.h"

#include <string>

namespace berth::cli {

// Before the daemon is asked: no terminal, no folder that is missing, no device. An empty path is
// standard output.
Result<void> check_archive_output(const std::string& path);

// A transfer that fails half-way leaves what was in the file before.
Result<void> write_archive(ByteSource& source, const std::string& path);

} // namespace berth::cli
