// SPDX-License-Identifier: Apache-2.0
// https://docs.kernel.org/admin-guide/cgroup-v1/memory.html#oom-control
#include "kernel/cgroup_oom.h"

#include "base/file.h"

#include <array>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace berth::kernel {

Result<OomWatch> OomWatch::create(const Cgroup& cgroup) {
    auto memory = cgroup.directories().find("memory");
    if (memory != cgroup.directories().end()) {
        UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (!event) {
            return errno_error("eventfd");
        }
        UniqueFd control = TRY(open_file(memory->second + "/memory.oom_control", O_RDONLY));
        TRY(write_existing(
            memory->second + "/cgroup.event_control",
            std::to_string(event.get()) + " " + std::to_string(control.get())));
        return OomWatch(std::move(event), std::move(control));
    }
    auto unified = cgroup.directories().find("");
    if (unified == cgroup.directories().end() || !exists(unified->second + "/memory.events")) {
        return Error(
            ErrorKind::Unavailable, "cgroup " + cgroup.path() + " has no memory controller");
    }
    UniqueFd event(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!event || ::inotify_add_watch(
                      event.get(), (unified->second + "/memory.events").c_str(), IN_MODIFY) < 0) {
        return errno_error("watch memory.events");
    }
    return OomWatch(std::move(event), UniqueFd());
}

void OomWatch::clear() {
    std::array<char, 4096> buffer;
    while (::read(event_.get(), buffer.data(), buffer.size()) > 0) {
        if (control_) {
            break; // an eventfd has one number
        }
    }
}

} // namespace berth::kernel
