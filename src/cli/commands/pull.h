// SPDX-License-Identifier: Apache-2.0
// Pulling an image, for `pull` and for `run` of an image that is not there.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace berth::cli {
class Session;
}

namespace berth::cli::commands {

enum class PullOutput : std::uint8_t { Stdout, Stderr, None };

Result<void> pull_image(
    Session& session, const std::string& reference, const std::string& platform, PullOutput output);

// "ubuntu" -> "ubuntu:latest".
Result<std::string> familiar_with_tag(const std::string& reference);

} // namespace berth::cli::commands
