// SPDX-License-Identifier: Apache-2.0
// The kernel moves and renames in one step.
#include "runtime/net_devices.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/namespace.h"
#include "runtime/namespaces.h"

#include <fcntl.h>
#include <sched.h>

namespace berth::runtime {

namespace {

constexpr std::string_view any_number = "%d";
constexpr int max_numbered = 4096;

// "eth%d": the first number that is free. REQUIRES: we are in the container's network namespace.
Result<std::string> free_name(const std::string& pattern) {
    const std::size_t place = pattern.find(any_number);
    for (int number = 0; number < max_numbered; ++number) {
        std::string name = pattern;
        name.replace(place, any_number.size(), std::to_string(number));
        Result<kernel::NetworkDevice> taken = kernel::NetworkDevice::find(name);
        if (!taken.ok() && taken.error().kind() == ErrorKind::NotFound) {
            return name;
        }
    }
    return Error(ErrorKind::ResourceExhausted, "no number is free for " + pattern);
}

Result<UniqueFd> own_network() {
    return open_file("/proc/thread-self/ns/net", O_RDONLY);
}

// REQUIRES: we are in the namespace that it came to.
Result<void> settle(const std::string& name, const MovedDevice& device, bool up) {
    kernel::NetworkDevice arrived = TRY(kernel::NetworkDevice::find(name));
    for (const kernel::DeviceAddress& address : device.addresses) {
        TRY(arrived.add_address(address));
    }
    return up ? arrived.set_up() : ok();
}

Result<void>
move_one(MovedDevices& moved, const std::string& host_name, const std::string& wanted) {
    kernel::NetworkDevice device = TRY(kernel::NetworkDevice::find(host_name));
    auto addresses = TRY(device.addresses());
    MovedDevice entry{
        .host_name = host_name,
        .name = wanted.empty() ? host_name : wanted,
        .addresses = std::move(addresses),
        .was_up = device.was_up()};
    kernel::NamespaceScope scope;
    TRY(scope.enter(moved.container, CLONE_NEWNET));
    if (entry.name.find(any_number) != std::string::npos) {
        entry.name = TRY(free_name(entry.name));
    } else if (kernel::NetworkDevice::find(entry.name).ok()) {
        return conflict("the container has a network device " + entry.name + " already");
    }
    // Over a socket of the namespace that it leaves.
    TRY(device.move(moved.container, entry.name));
    moved.devices.push_back(std::move(entry));
    return settle(moved.devices.back().name, moved.devices.back(), true);
}

Result<void> give_one_back(const MovedDevices& moved, const MovedDevice& device) {
    {
        kernel::NamespaceScope scope;
        TRY(scope.enter(moved.container, CLONE_NEWNET));
        kernel::NetworkDevice there = TRY(kernel::NetworkDevice::find(device.name));
        TRY(there.move(moved.host, device.host_name));
    }
    return settle(device.host_name, device, device.was_up);
}

} // namespace

void MovedDevices::give_back() const {
    for (const MovedDevice& device : devices) {
        Result<void> back = give_one_back(*this, device);
        if (!back.ok()) {
            log::warn(
                "network device could not be given back, ignoring",
                {{"device", device.host_name}, {"error", back.error().message()}});
        }
    }
}

Result<void> check_net_devices(const oci::RuntimeConfig& config) {
    const auto& devices = config.linux_.net_devices;
    if (devices.empty()) {
        return ok();
    }
    if (!TRY(plan_namespaces(config)).has("network")) {
        return invalid_argument("linux.netDevices: needs a network namespace in linux.namespaces");
    }
    for (const auto& [host_name, device] : devices) {
        if (!kernel::is_network_device_name(host_name)) {
            return invalid_argument(
                "linux.netDevices: \"" + host_name + "\" is no name of a network device");
        }
        if (!device.name.empty() && !kernel::is_network_device_name(device.name)) {
            return invalid_argument(
                "linux.netDevices." + host_name + ".name: \"" + device.name +
                "\" is no name of a network device");
        }
    }
    return ok();
}

Result<MovedDevices> move_net_devices(const oci::Linux& linux_object, const UniqueFd& pidfd) {
    MovedDevices moved;
    if (linux_object.net_devices.empty()) {
        return moved;
    }
    moved.host = TRY(own_network());
    {
        kernel::NamespaceScope scope;
        TRY(scope.enter(pidfd, CLONE_NEWNET));
        moved.container = TRY(own_network());
    }
    for (const auto& [host_name, device] : linux_object.net_devices) {
        Result<void> one = move_one(moved, host_name, device.name);
        if (!one.ok()) {
            moved.give_back();
            return std::move(one).error().with_context("linux.netDevices." + host_name);
        }
    }
    return moved;
}

} // namespace berth::runtime
