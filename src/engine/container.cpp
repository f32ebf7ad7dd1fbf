// SPDX-License-Identifier: Apache-2.0
// The names of container states.
#include "engine/container.h"

#include <array>
#include <utility>

namespace berth::engine {
namespace {

constexpr std::array<std::pair<ContainerStatus, std::string_view>, 7> status_names{
    {{ContainerStatus::Created, "created"},
     {ContainerStatus::Running, "running"},
     {ContainerStatus::Paused, "paused"},
     {ContainerStatus::Restarting, "restarting"},
     {ContainerStatus::Removing, "removing"},
     {ContainerStatus::Exited, "exited"},
     {ContainerStatus::Dead, "dead"}}};

} // namespace

std::string_view to_string(ContainerStatus status) {
    return status_names[static_cast<std::size_t>(status)].second;
}

std::optional<ContainerStatus> parse_container_status(std::string_view text) {
    for (const auto& [status, name] : status_names) {
        if (text == name) {
            return status;
        }
    }
    return std::nullopt;
}

} // namespace berth::engine
