// SPDX-License-Identifier: Apache-2.0
// Bytes that a thread writes into a pipe, for a reader that comes for them when it likes.
#pragma once

#include "base/result.h"
#include "codec/stream.h"

#include <functional>
#include <memory>

namespace berth::cli {

// The source ends with the writer's error, if it has one. Destroyed sooner, the writer's next write
// fails, and it is waited for.
Result<std::unique_ptr<ByteSource>>
open_piped_source(std::function<Result<void>(ByteSink& sink)> writer);

} // namespace berth::cli
