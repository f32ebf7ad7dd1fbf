// SPDX-License-Identifier: Apache-2.0
// The runtime makes missing mount points in a container's root. They are no part of what a RUN step
// did, so they are taken away before the layer is committed.
#pragma once

#include "base/unique_fd.h"

#include <string>
#include <vector>

namespace berth::build {

class MountPoints {
  public:
    // Notes which of the destinations, and of the directories above them, are missing in root.
    MountPoints(FdRef root, const std::vector<std::string>& destinations);

    // Removes what was missing then and is an empty file or directory now.
    void remove_empty(FdRef root) const;

  private:
    std::vector<std::string> missing_; // parents first
};

} // namespace berth::build
