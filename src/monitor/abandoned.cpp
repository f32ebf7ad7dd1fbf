// SPDX-License-Identifier: Apache-2.0
// What is done for a container whose monitor was killed.
#include "monitor/client.h"
#include "runtime/container.h"

namespace berth::monitor {

Result<void> remove_abandoned(const std::string& runtime_root, const std::string& id) {
    auto container = runtime::Container::load(runtime_root, id);
    if (!container.ok()) {
        if (container.error().kind() == ErrorKind::NotFound) {
            return ok();
        }
        return std::move(container).error();
    }
    return container->destroy(runtime::Container::Force::Yes);
}

} // namespace berth::monitor
