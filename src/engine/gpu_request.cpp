// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/devices_nvidia_linux.go and devices_amd_linux.go, less the vendors' own
// hooks: who wants those has a runtime of the vendor's.
#include "engine/gpu_request.h"

#include "base/strings.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace berth::engine {
namespace {

// No request of a client's has reason to ask for more.
constexpr std::int64_t most_devices = 1024;

constexpr auto nvidia_capabilities = std::to_array<std::string_view>(
    {"gpu", "nvidia", "compute", "compat32", "graphics", "utility", "video", "display"});
constexpr auto amd_capabilities = std::to_array<std::string_view>({"gpu", "amd"});

constexpr auto nvidia_drivers = std::to_array<std::string_view>({"", "nvidia", "nvidia.cdi"});
constexpr auto amd_drivers = std::to_array<std::string_view>({"", "amd"});

struct Vendor {
    std::string_view kind;
    std::span<const std::string_view> drivers; // as a request may name it
    std::span<const std::string_view> capabilities;
};

constexpr auto vendors = std::to_array<Vendor>(
    {{"nvidia.com/gpu", nvidia_drivers, nvidia_capabilities},
     {"amd.com/gpu", amd_drivers, amd_capabilities}});

// One of the groups, as a whole.
bool has_capabilities(const Vendor& vendor, const DeviceRequest& request) {
    return std::ranges::any_of(request.capabilities, [&vendor](const auto& group) {
        return std::ranges::all_of(group, [&vendor](const std::string& capability) {
            return contains(vendor.capabilities, capability);
        });
    });
}

} // namespace

std::string gpu_kind(const DeviceRequest& request, const std::set<std::string>& kinds) {
    for (const Vendor& vendor : vendors) {
        std::string kind(vendor.kind);
        if (kinds.contains(kind) && contains(vendor.drivers, request.driver) &&
            has_capabilities(vendor, request)) {
            return kind;
        }
    }
    return {};
}

Result<std::vector<std::string>>
gpu_device_names(const DeviceRequest& request, const std::string& kind) {
    if (request.count != 0 && !request.device_ids.empty()) {
        return invalid_argument("cannot set both Count and DeviceIDs on device request");
    }
    if (request.count > most_devices) {
        return invalid_argument(
            "a device request for more than " + std::to_string(most_devices) + " devices");
    }
    std::vector<std::string> names;
    for (const std::string& id : request.device_ids) {
        names.push_back(id.find('=') == std::string::npos ? kind + "=" + id : id);
    }
    if (request.count < 0) {
        names.push_back(kind + "=all");
    }
    for (std::int64_t i = 0; i < request.count; ++i) {
        names.push_back(kind + "=" + std::to_string(i));
    }
    return names;
}

} // namespace berth::engine
