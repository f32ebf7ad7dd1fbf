// SPDX-License-Identifier: Apache-2.0
// The instructions that docker import --change and docker commit --change take.
#pragma once

#include "base/result.h"
#include "oci/image_config.h"

#include <string>
#include <vector>

namespace berth::api {

struct ChangedConfig {
    oci::ContainerDefaults config;
    bool sets_entrypoint = false; // perhaps to nothing
};

// CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR, as
// in a Dockerfile. InvalidArgument for others.
Result<ChangedConfig>
apply_changes(oci::ContainerDefaults base, const std::vector<std::string>& changes);

} // namespace berth::api
