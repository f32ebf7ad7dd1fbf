// SPDX-License-Identifier: Apache-2.0
// What every build tells the engine, whichever protocol asked for it: events and metrics.
#pragma once

#include "build/builder.h"
#include "engine/engine.h"

#include <cstddef>
#include <string>

namespace berth::api {

// An image's event: "create" of a build, "tag".
void publish_build_event(
    engine::Engine& engine, const std::string& action, const oci::Digest& id, std::string name);

void count_build(engine::Engine& engine);
void count_build_failure(engine::Engine& engine, const Error& error);

} // namespace berth::api
