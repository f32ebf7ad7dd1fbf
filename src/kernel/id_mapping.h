// SPDX-License-Identifier: Apache-2.0
// User namespaces for those who are not root: user_namespaces(7), newuidmap(1).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <vector>

namespace berth::kernel {

struct IdRange {
    std::uint32_t inside = 0;
    std::uint32_t outside = 0;
    std::uint32_t size = 0;
};

// True in any user namespace but the machine's first.
bool in_user_namespace();

// Moves the calling process into a new user namespace and a private mount namespace that belongs to
// it, where it is root. Only the caller's own id may be mapped without the set-uid programs
// newuidmap and newgidmap, which look up /etc/subuid and /etc/subgid. REQUIRES: the calling process
// has one thread; both lists map id 0.
Result<void>
enter_new_user_namespace(const std::vector<IdRange>& uids, const std::vector<IdRange>& gids);

// Joins the user namespace of another process (a pidfd) and becomes root there.
Result<void> join_user_namespace(FdRef process);

} // namespace berth::kernel
