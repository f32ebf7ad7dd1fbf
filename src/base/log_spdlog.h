// SPDX-License-Identifier: Apache-2.0
// The sink of long-running programs: spdlog, to stderr. A library of its own so that the small
// static programs do not carry it.
#pragma once

namespace berth::log {

// Installs the sink for the whole process. Call once, before threads start.
void use_spdlog();

} // namespace berth::log
