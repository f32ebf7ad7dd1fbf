// SPDX-License-Identifier: Apache-2.0
// Removes interfaces and namespaces behind everybody's back. The kernel waits about 20 ms for grace
// periods per removal, with its network configuration locked against everybody; many at once cost
// the same as one. So what is to go gathers until things are quiet, and goes together. Bridges are
// another matter: each waits for a barrier of its own, also in company, so they go one by one and
// let others have the lock in between. Thread-safe.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <memory>

namespace berth::network {

class InterfaceReaper {
  public:
    // Belongs to the calling thread's network namespace.
    static Result<std::unique_ptr<InterfaceReaper>> start();

    // Removes at once what waits.
    ~InterfaceReaper();
    InterfaceReaper(const InterfaceReaper&) = delete;
    InterfaceReaper& operator=(const InterfaceReaper&) = delete;

    // The interface goes soon; one that is gone already is fine. The namespace, if given, is that
    // of its other end: its last owner's going would start a removal of its own.
    void discard(int interface_index, UniqueFd netns = UniqueFd());

    void discard_bridge(int interface_index);

    // Returns when this bridge is gone; at once when it was not discarded.
    void finish_bridge(int interface_index);

    // Does not wait for quiet; returns when nothing is left.
    void finish();

  private:
    struct State;
    explicit InterfaceReaper(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace berth::network
