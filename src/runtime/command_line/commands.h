// SPDX-License-Identifier: Apache-2.0
// The commands; each gets its arguments without its name and answers an exit status.
#pragma once

#include "base/result.h"

#include <string>
#include <vector>

namespace berth::runtime::command_line {

struct Globals {
    std::string root = "/run/berth-runtime";
};

using Arguments = std::vector<std::string>;

Result<int> create(const Globals& globals, const Arguments& arguments);
Result<int> run_container(const Globals& globals, const Arguments& arguments);
Result<int> start(const Globals& globals, const Arguments& arguments);
Result<int> exec(const Globals& globals, const Arguments& arguments);
Result<int> kill(const Globals& globals, const Arguments& arguments);
Result<int> remove(const Globals& globals, const Arguments& arguments);
Result<int> pause(const Globals& globals, const Arguments& arguments);
Result<int> resume(const Globals& globals, const Arguments& arguments);
Result<int> update(const Globals& globals, const Arguments& arguments);
Result<int> state(const Globals& globals, const Arguments& arguments);
Result<int> list(const Globals& globals, const Arguments& arguments);
Result<int> processes(const Globals& globals, const Arguments& arguments);
Result<int> spec(const Globals& globals, const Arguments& arguments);
Result<int> features(const Globals& globals, const Arguments& arguments);

} // namespace berth::runtime::command_line
