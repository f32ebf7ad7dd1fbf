// SPDX-License-Identifier: Apache-2.0
// Where berthd listens: -H unix://, tcp:// and fd:// (systemd's sockets).
#pragma once

#include "base/result.h"
#include "engine/daemon_config.h"
#include "front/front.h"
#include "http/server.h"

#include <memory>

namespace berth::bin {

Result<void> add_listeners(
    http::Server& server,
    const engine::DaemonConfig& config,
    const std::shared_ptr<front::Front>& front);

} // namespace berth::bin
