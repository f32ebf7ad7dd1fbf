// SPDX-License-Identifier: Apache-2.0
// What can be asked about containers: inspect, list, top, stats.
#pragma once

#include "engine/core.h"

namespace berth::engine {

class ContainerReader {
  public:
    explicit ContainerReader(Core& core)
        : core_(core) {}

    Result<ContainerInspect> inspect(const ContainerPtr& container, bool size) const;
    Result<void> list(const ListOptions& options, const SummarySink& sink) const;
    Result<TopResult> top(const ContainerPtr& container, const std::string& ps_arguments) const;
    Result<ContainerStats> stats(const ContainerPtr& container) const;

  private:
    ContainerSummary summarize(const ContainerView& view, bool size) const;
    NetworkSettings network_settings(const ContainerView& view) const;
    Result<void> add_size(
        const std::string& id,
        std::optional<std::int64_t>& size_rw,
        std::optional<std::int64_t>& size_root_fs) const;

    Core& core_;
};

// "Up 5 minutes (healthy)", "Exited (0) 3 hours ago".
std::string status_text(const ContainerState& state, Timestamp now);

} // namespace berth::engine
