// SPDX-License-Identifier: Apache-2.0
// berth-runtime: the OCI runtime command line, a drop-in for runc.
#include "base/log.h"
#include "runtime/command_line/command_line.h"
#include "runtime/self_protection.h"

#include <string>
#include <vector>

int main(int count, char** values) {
    const std::vector<std::string> arguments(values + 1, values + count);
    if (berth::runtime::command_line::enters_containers(arguments)) {
        berth::Result<void> done = berth::runtime::protect_program(values);
        if (!done.ok()) {
            berth::log::error(done.error().message());
            return 1;
        }
    }
    return berth::runtime::command_line::run(arguments);
}
