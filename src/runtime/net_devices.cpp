// SPDX-License-Identifier: Apache-2.0
// The kernel moves and renames in one step.
#include "runtime/net_devices.h"

#include "kernel/namespace.h"
#include "kernel/network_device.h"
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

Result<void>
move_one(const std::string& host_name, const std::string& wanted, const UniqueFd& pidfd) {
    kernel::NetworkDevice device = TRY(kernel::NetworkDevice::find(host_name));
    std::vector<kernel::DeviceAddress> addresses = TRY(device.addresses());
    kernel::NamespaceScope scope;
    TRY(scope.enter(pidfd, CLONE_NEWNET));
    std::string name = wanted.empty() ? host_name : wanted;
    if (name.find(any_number) != std::string::npos) {
        name = TRY(free_name(name));
    } else if (kernel::NetworkDevice::find(name).ok()) {
        return conflict("the container has a network device " + name + " already");
    }
    UniqueFd target(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!target) {
        return errno_error("network namespace of the container");
    }
    // Over a socket of the namespace that it leaves.
    TRY(device.move(target, name));
    kernel::NetworkDevice moved = TRY(kernel::NetworkDevice::find(name));
    for (const kernel::DeviceAddress& address : addresses) {
        TRY(moved.add_address(address));
    }
    return moved.set_up();
}

} // namespace

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

Result<void> move_net_devices(const oci::Linux& linux_object, const UniqueFd& pidfd) {
    for (const auto& [host_name, device] : linux_object.net_devices) {
        TRY_CONTEXT(move_one(host_name, device.name, pidfd), "linux.netDevices." + host_name);
    }
    return ok();
}

} // namespace berth::runtime
