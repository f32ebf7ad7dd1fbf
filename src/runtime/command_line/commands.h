// SPDX-License-Identifier: Apache-2.0
// The commands; each gets its parsed flags and answers an exit status.
#pragma once

#include "base/result.h"
#include "runtime/command_line/flags.h"

#include <cstdint>
#include <string>

namespace berth::runtime::command_line {

// Auto: rootless when we are not root or in a user namespace.
enum class Rootless : std::uint8_t { Auto, Yes, No };

struct Globals {
    std::string root;
    bool root_is_given = false;
    Rootless rootless = Rootless::Auto;
    bool systemd_cgroup = false;
    int passed_descriptors = 0; // 3, 4, … that the caller left open for us
};

Result<int> create(const Globals& globals, const Flags& flags);
Result<int> run_container(const Globals& globals, const Flags& flags);
Result<int> start(const Globals& globals, const Flags& flags);
Result<int> exec(const Globals& globals, const Flags& flags);
Result<int> kill(const Globals& globals, const Flags& flags);
Result<int> remove(const Globals& globals, const Flags& flags);
Result<int> pause(const Globals& globals, const Flags& flags);
Result<int> resume(const Globals& globals, const Flags& flags);
Result<int> update(const Globals& globals, const Flags& flags);
Result<int> events(const Globals& globals, const Flags& flags);
Result<int> state(const Globals& globals, const Flags& flags);
Result<int> list(const Globals& globals, const Flags& flags);
Result<int> processes(const Globals& globals, const Flags& flags);
Result<int> spec(const Globals& globals, const Flags& flags);
Result<int> features(const Globals& globals, const Flags& flags);
Result<int> checkpoint(const Globals& globals, const Flags& flags);
Result<int> restore(const Globals& globals, const Flags& flags);

} // namespace berth::runtime::command_line
