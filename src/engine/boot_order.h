// SPDX-License-Identifier: Apache-2.0
// BootOrder: in which order containers come up when the engine starts. Each waits for those whose
// namespaces, volumes or names (links) it needs.
#pragma once

#include "engine/container_record.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace berth::engine {

// Containers are named by their place in the list. Those that need each other in a circle wait for
// nobody in it.
class BootOrder {
  public:
    explicit BootOrder(const std::vector<std::shared_ptr<const ContainerDefinition>>& definitions);

    // Those that need nobody; to be called once.
    std::vector<std::size_t> take_first();

    // This one is there, or will not be. Those that waited for it alone.
    std::vector<std::size_t> finish(std::size_t number);

  private:
    void break_circles();

    std::vector<std::size_t> missing_;                 // by container: how many it waits for
    std::vector<std::vector<std::size_t>> dependents_; // by container: who waits for it
};

} // namespace berth::engine
