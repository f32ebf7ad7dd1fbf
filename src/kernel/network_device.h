// SPDX-License-Identifier: Apache-2.0
// Moving a network device into another namespace: rtnetlink(7). By hand and not with libmnl, which
// the small static programs cannot link.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::kernel {

// As the kernel has it: 1 to 15 characters, no '/', ':' or white space, not "." or "..".
bool is_network_device_name(std::string_view name);

// Attributes and header of an address as the kernel told them.
struct DeviceAddress {
    std::string message;
};

// A device of the calling thread's network namespace.
class NetworkDevice {
  public:
    // NotFound when there is none of this name.
    static Result<NetworkDevice> find(const std::string& name);

    // Global addresses that somebody has set; a move forgets them.
    Result<std::vector<DeviceAddress>> addresses() const;

    // Away to `target`, a network namespace, as `name`.
    Result<void> move(FdRef target, const std::string& name) const;

    // What another device had.
    Result<void> add_address(const DeviceAddress& address) const;
    Result<void> set_up() const;

    // Whether it was up when it was found.
    bool was_up() const { return was_up_; }

  private:
    NetworkDevice(UniqueFd socket, unsigned index, bool was_up)
        : socket_(std::move(socket))
        , index_(index)
        , was_up_(was_up) {}

    UniqueFd socket_; // of the namespace in which it was opened
    unsigned index_;
    bool was_up_;
};

} // namespace berth::kernel
