// SPDX-License-Identifier: Apache-2.0
// The instructions that docker import --change and docker commit --change take.
#include "api/import_changes.h"

namespace berth::api {

Result<oci::ContainerDefaults> parse_changes(const std::vector<std::string>& changes) {
    if (!changes.empty()) {
        return not_implemented("changes to an imported image are not implemented");
    }
    return oci::ContainerDefaults();
}

} // namespace berth::api
