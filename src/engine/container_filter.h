// SPDX-License-Identifier: Apache-2.0
// The filters of docker ps, docker container prune.
#pragma once

#include "engine/core.h"
#include "engine/pattern.h"

namespace berth::engine {

class ContainerFilter {
  public:
    // Resolves what the filters name (before, since, ancestor). NotFound for containers that are
    // not there; InvalidArgument for unknown filters and values.
    static Result<ContainerFilter> create(const Core& core, const ListOptions& options);

    bool matches(const ContainerView& view) const;

  private:
    explicit ContainerFilter(const ListOptions& options)
        : options_(options)
        , names_(options.filters.get("name")) {}

    Result<void> resolve(const Core& core);
    bool matches_state(const ContainerView& view) const;
    bool matches_mounts(const ContainerView& view) const;
    bool matches_network(const ContainerView& view) const;
    bool matches_ports(const ContainerView& view) const;

    ListOptions options_;
    NamePatterns names_;
    bool all_ = false;
    bool none_ = false; // tasks of a swarm are asked for
    std::optional<Timestamp> before_;
    std::optional<Timestamp> since_;
    std::vector<std::string> ancestors_; // image ids
    std::vector<std::string> networks_;  // names
};

} // namespace berth::engine
