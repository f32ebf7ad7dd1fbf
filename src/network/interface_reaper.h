// SPDX-License-Identifier: Apache-2.0
// Removes interfaces behind everybody's back. The kernel waits about 20 ms for a grace period per
// removal, with its network configuration locked; many at once cost the same as one. A container's
// veth pair also goes by itself with the container's namespace, so the reaper first gives it a
// moment. Thread-safe.
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

    // The interface goes soon; one that is gone already is fine.
    void discard(int interface_index);

    // Does not wait for the moment of grace; returns when nothing is left.
    void finish();

  private:
    struct State;
    explicit InterfaceReaper(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace berth::network
