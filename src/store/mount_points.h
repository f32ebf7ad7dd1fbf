// SPDX-License-Identifier: Apache-2.0
// What every container's root has whatever its image brings: the places that a runtime mounts
// things on, and the file by which programs know that they are in a container. One directory for
// all containers, below the layers of their images, so that a start makes none of it and a removal
// deletes none. After moby's daemon/initlayer/setup_unix.go.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace berth::store {

// What /etc/mtab leads to.
inline constexpr std::string_view mounts_link = "/proc/mounts";

// Makes in the directory `root` what is missing there; what has one of the names stays as it is.
// Links in it are followed inside it only.
Result<void> make_mount_points(const std::string& root);

} // namespace berth::store
