// SPDX-License-Identifier: Apache-2.0
// --log, --log-format and --debug: lines as logrus writes them for runc, because containerd, Docker
// and Podman read the last error from there. Without --log they go to standard error; with it,
// standard error gets the bare words of an error.
#pragma once

#include "base/result.h"

#include <string>

namespace berth::runtime::command_line {

struct LogOptions {
    std::string path;
    std::string format; // "", "text" or "json"
    bool debug = false;
};

// Installs the sink of base/log.
Result<void> open_log(const LogOptions& options);

// An error that ends the program.
void report(const Error& error);

} // namespace berth::runtime::command_line
