// SPDX-License-Identifier: Apache-2.0
// A file that a user named by its address: ADD's, and what docker import takes.
#pragma once

#include "registry/transport.h"

#include <memory>
#include <stop_token>
#include <string>

namespace berth::registry {

// The answer when it is a good one; follows redirects. Errors in Docker's words: "failed to GET x
// with status 404 Not Found: …". NotFound for that status, Unavailable for others.
Result<std::unique_ptr<Exchange>>
open_remote(std::stop_token stop, Transport& transport, const std::string& url);

} // namespace berth::registry
