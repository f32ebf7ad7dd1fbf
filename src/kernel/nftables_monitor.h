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

struct NftChanges {
    // Something of the table, in any family, was removed or may have been: the kernel may have had
    // to leave out messages.
    bool removed = false;
    bool others = false; // something was added to or removed from another table
    bool chains = false; // a chain was added to another table
};

class NftMonitor {
  public:
    // In the calling thread's network namespace. What the netlink socket with this port id changes
    // is not told: the kernel does not even queue it.
    static Result<NftMonitor> open(std::uint32_t own_port_id);

    // Readable when something changed.
    FdRef fd() const { return socket_; }

    // Reads what waits, without waiting.
    Result<NftChanges> read_changes(std::string_view table);

  private:
    explicit NftMonitor(UniqueFd socket)
        : socket_(std::move(socket)) {}

    UniqueFd socket_;
};

// Adds what a notification's messages tell; exposed for fuzzing.
void note_changes(std::span<const std::byte> buffer, std::string_view table, NftChanges& changes);

} // namespace berth::kernel
