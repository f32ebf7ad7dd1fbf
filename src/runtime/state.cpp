// SPDX-License-Identifier: Apache-2.0
// The specification's words for a container's state.
#include "runtime/state.h"

#include <boost/json/object.hpp>

namespace berth::runtime {

std::string_view to_string(Status status) {
    switch (status) {
    case Status::Creating:
        return "creating";
    case Status::Created:
        return "created";
    case Status::Running:
        return "running";
    case Status::Paused:
        return "paused";
    case Status::Stopped:
        return "stopped";
    }
    return "";
}

json::Value state_object(const State& state) {
    json::Object object;
    object["ociVersion"] = state.oci_version;
    object["id"] = state.id;
    object["status"] = to_string(state.status);
    object["pid"] = state.pid;
    object["bundle"] = state.bundle;
    if (!state.annotations.empty()) {
        json::Object annotations;
        for (const auto& [key, value] : state.annotations) {
            annotations[key] = value;
        }
        object["annotations"] = std::move(annotations);
    }
    return object;
}

} // namespace berth::runtime
