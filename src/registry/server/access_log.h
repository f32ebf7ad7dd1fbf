// SPDX-License-Identifier: Apache-2.0
// One line for each request, in the combined log format that other servers write, with the
// milliseconds it took at the end.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/message.h"
#include "registry/server/metrics.h"

#include <memory>
#include <string>

namespace berth::registry {

// Thread-safe: a line is one write(2) to a file opened for appending.
class AccessLog {
  public:
    // "-" is standard output.
    static Result<std::unique_ptr<AccessLog>> open(const std::string& path);

    void
    write(const http::Request& request, const std::string& user, const RequestRecord& record) const;

  private:
    explicit AccessLog(UniqueFd fd)
        : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

} // namespace berth::registry
