// SPDX-License-Identifier: Apache-2.0
// --metrics-addr: a server of its own for Prometheus.
#pragma once

#include "api/metrics.h"
#include "base/result.h"
#include "engine/engine.h"
#include "http/server.h"

#include <memory>

namespace berth::bin {

// nullptr: nobody wants them.
Result<std::unique_ptr<http::Server>>
serve_metrics(const engine::DaemonConfig& config, api::Metrics& metrics, engine::Engine& engine);

} // namespace berth::bin
