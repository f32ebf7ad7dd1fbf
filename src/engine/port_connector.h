// SPDX-License-Identifier: Apache-2.0
// Publishes and withdraws ports of containers that are there: of one that runs at once, of every
// one for its next starts. Thread-safe.
#pragma once

#include "engine/core.h"

#include <string>
#include <vector>

namespace berth::engine {

class PortConnector {
  public:
    explicit PortConnector(Core& core)
        : core_(core) {}

    // What is published now, of a container that runs. Conflict for ports that are taken, in
    // Docker's words; nothing is changed then.
    Result<std::vector<PublishedPort>> publish(const ContainerPtr& container, const PortMap& ports);

    // Of a binding, what is empty matches all. NotFound, and nothing changed, for a port that is
    // not published.
    Result<void> withdraw(const ContainerPtr& container, const PortMap& ports);

  private:
    Core& core_;
};

} // namespace berth::engine
