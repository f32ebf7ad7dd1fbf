// SPDX-License-Identifier: Apache-2.0
// Pulling an image, for `pull` and for `run` of an image that is not there.
#pragma once

#include "base/result.h"
#include "oci/reference.h"

#include <cstdint>
#include <string>

namespace berth::cli {
class Session;
}

namespace berth::cli::commands {

enum class PullOutput : std::uint8_t { Stdout, Stderr, None };

struct PullTarget {
    oci::Reference reference; // a name alone: all its tags
    std::string platform;     // "": the daemon's
};

Result<void> pull_image(Session& session, const PullTarget& target, PullOutput output);

// "ubuntu" -> "ubuntu:latest".
Result<std::string> familiar_with_tag(const std::string& reference);

} // namespace berth::cli::commands
