// SPDX-License-Identifier: Apache-2.0
// Tells when the kernel had to do something about a group's lack of memory: inotify on
// memory.events of version 2, an eventfd at memory.oom_control of version 1.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/cgroup.h"

namespace berth::kernel {

class OomWatch {
  public:
    // Unavailable when the group has no memory controller.
    static Result<OomWatch> create(const Cgroup& cgroup);

    // Readable after an event; it also is when the group goes. Cgroup::oom_kills() has the number.
    FdRef fd() const { return event_; }

    // Reads the event.
    void clear();

  private:
    OomWatch(UniqueFd event, UniqueFd control)
        : event_(std::move(event))
        , control_(std::move(control)) {}

    UniqueFd event_;
    UniqueFd control_; // version 1 listens only as long as this is open
};

} // namespace berth::kernel
