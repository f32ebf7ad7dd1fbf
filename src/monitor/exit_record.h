// SPDX-License-Identifier: Apache-2.0
// exit.json: how a container's init ended. Written whole and before anybody is told, so that an
// engine that was away finds it.
#pragma once

#include "base/result.h"
#include "monitor/protocol.h"

#include <optional>
#include <string>

namespace berth::monitor {

// exec_id is not kept. Atomic; survives kill -9, not a power cut (nor does the container).
Result<void> write_exit_record(const std::string& path, const Exited& exit);

// nullopt when there is none.
Result<std::optional<Exited>> read_exit_record(const std::string& path);

} // namespace berth::monitor
