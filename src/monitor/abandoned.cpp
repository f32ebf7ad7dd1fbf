// SPDX-License-Identifier: Apache-2.0
// What is done for a container whose monitor was killed.
#include "monitor/client.h"
#include "runtime/container.h"

namespace berth::monitor {

Result<void> remove_abandoned(const std::string& runtime_root, const std::string& id) {
    return runtime::Container::remove_by_force(runtime_root, id);
}

} // namespace berth::monitor
