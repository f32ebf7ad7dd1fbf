// SPDX-License-Identifier: Apache-2.0
// A container's files on their way out: as an image, as a tar, as a list of changes.
#pragma once

#include "engine/container_control.h"
#include "engine/core.h"

#include <stop_token>
#include <string>
#include <vector>

namespace berth::engine {

class ContainerCommitter {
  public:
    ContainerCommitter(Core& core, ContainerControl& control)
        : core_(core)
        , control_(control) {}

    Result<std::string>
    commit(std::stop_token stop, const ContainerPtr& container, const CommitRequest& request);
    Result<void>
    export_files(std::stop_token stop, const ContainerPtr& container, ByteSink& sink) const;
    Result<std::vector<store::Change>> changes(const ContainerPtr& container) const;

  private:
    void publish_image(const store::Image& image, const std::string& action) const;

    Core& core_;
    ContainerControl& control_;
};

} // namespace berth::engine
