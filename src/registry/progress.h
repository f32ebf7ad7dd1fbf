// SPDX-License-Identifier: Apache-2.0
// What a pull or push reports while it runs: the content of Docker's progress messages.
#pragma once

#include "codec/json.h"
#include "oci/digest.h"

#include <cstdint>
#include <functional>
#include <string>

namespace berth::registry {

// `id` is a layer's short id, a tag ("Pulling from library/x"), or "" for a line of its own.
struct Progress {
    std::string id;
    std::string status;
    std::int64_t current = 0;
    std::int64_t total = 0;
    bool has_detail = false; // false: Docker sends an empty progressDetail
    json::Value aux;         // push's last message: {"Tag","Digest","Size"}; null otherwise
};

// Called by several threads, but never by two at once. Must be quick.
using ProgressCallback = std::function<void(const Progress&)>;

} // namespace berth::registry
