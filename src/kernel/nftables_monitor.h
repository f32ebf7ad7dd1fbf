// SPDX-License-Identifier: Apache-2.0
// Notices what other programs change in nf_tables (`nft flush ruleset`, a firewall's reload). Not
// thread-safe.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace berth::kernel {

class NftMonitor {
  public:
    // In the calling thread's network namespace. What the netlink socket with this port id changes
    // is not told: the kernel does not even queue it.
    static Result<NftMonitor> open(std::uint32_t own_port_id);

    // Readable when something changed.
    FdRef fd() const { return socket_; }

    // Reads what waits, without waiting: whether something of the table, in any family, was removed
    // or may have been (the kernel had to leave out messages).
    Result<bool> read_removals(std::string_view table);

  private:
    explicit NftMonitor(UniqueFd socket)
        : socket_(std::move(socket)) {}

    UniqueFd socket_;
};

// Whether a notification's messages tell of a removal from the table; exposed for fuzzing.
bool tells_of_removal(std::span<const std::byte> buffer, std::string_view table);

} // namespace berth::kernel
