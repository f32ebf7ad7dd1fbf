// SPDX-License-Identifier: Apache-2.0
// The values below /proc/sys/net, which are those of the thread's network namespace. proc(5).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace berth::network {

// REQUIRES: the thread stays in one network namespace as long as this is used.
class NetSysctls {
  public:
    // "net.ipv4.ping_group_range". ENOENT where the kernel has no such value.
    Result<void> write(std::string_view name, std::string_view value);
    // "net/ipv4/conf/eth0.5/log_martians": names of interfaces may have dots of their own.
    Result<void> write_path(const std::string& path, std::string_view value);

  private:
    std::shared_ptr<const UniqueFd> root_;
    std::map<std::string, UniqueFd> directories_; // net/ipv4 and so on, each opened once
};

} // namespace berth::network
