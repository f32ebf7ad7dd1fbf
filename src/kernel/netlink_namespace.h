// SPDX-License-Identifier: Apache-2.0
// The calling thread in another network namespace for the life of an object. What the thread opens
// meanwhile (sockets, /proc/sys/net files) belongs to that namespace; other threads notice nothing.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace berth::kernel {

// The calling thread's network namespace.
Result<UniqueFd> current_network_namespace();

class NetworkNamespaceScope {
  public:
    static Result<NetworkNamespaceScope> enter(FdRef netns);

    // A new namespace; fd() owns it.
    static Result<NetworkNamespaceScope> enter_new();

    NetworkNamespaceScope(NetworkNamespaceScope&&) = default;
    NetworkNamespaceScope& operator=(NetworkNamespaceScope&&) = delete;

    // Goes back. Aborts if that fails: a thread of the engine in the wrong namespace would
    // configure containers with the host's commands.
    ~NetworkNamespaceScope();

    // REQUIRES: made by enter_new(). Gives the new namespace away.
    UniqueFd take() { return std::move(entered_); }

  private:
    explicit NetworkNamespaceScope(UniqueFd before)
        : before_(std::move(before)) {}

    UniqueFd before_;
    UniqueFd entered_;
};

} // namespace berth::kernel
