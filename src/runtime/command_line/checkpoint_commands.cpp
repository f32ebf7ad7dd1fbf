// SPDX-License-Identifier: Apache-2.0
// checkpoint and restore: they are not there, and say so whatever their flags are.
#include "runtime/command_line/commands.h"

namespace berth::runtime::command_line {

Result<int> checkpoint(const Globals&, const Flags&) {
    return not_implemented("checkpoint is not implemented: berth-runtime cannot save the processes "
                           "of a container to disk");
}

Result<int> restore(const Globals&, const Flags&) {
    return not_implemented("restore is not implemented: berth-runtime cannot restore the processes "
                           "of a container from disk");
}

} // namespace berth::runtime::command_line
