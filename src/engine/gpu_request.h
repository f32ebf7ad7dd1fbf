// SPDX-License-Identifier: Apache-2.0
// `--gpus`: a request for devices by what they can do. As Docker's, it stands for CDI devices of
// the first vendor whose files are there.
#pragma once

#include "base/result.h"
#include "engine/container_config.h"

#include <set>
#include <string>
#include <vector>

namespace berth::engine {

// The kind of device that the request can mean, of those that there are ("nvidia.com/gpu"); empty
// for none.
std::string gpu_kind(const DeviceRequest& request, const std::set<std::string>& kinds);

// "nvidia.com/gpu=all", "nvidia.com/gpu=0", …
Result<std::vector<std::string>>
gpu_device_names(const DeviceRequest& request, const std::string& kind);

} // namespace berth::engine
