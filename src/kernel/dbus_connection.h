// SPDX-License-Identifier: Apache-2.0
// A connection to systemd: its own socket, which needs no message bus and no round trips to get
// acquainted, or a message bus where that socket is not there. Used by one thread, for one task.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/dbus_message.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace berth::kernel {

// Whether open() goes to a user's own manager. Root of a user namespace is such a user.
bool systemd_is_the_users();

class SystemdConnection {
  public:
    // The system's manager for root, the user's own (below $XDG_RUNTIME_DIR, or at
    // $DBUS_SESSION_BUS_ADDRESS) for others and in a user namespace. Unavailable when there is
    // none.
    static Result<SystemdConnection> open();

    // Of the interface org.freedesktop.systemd1.Manager. The error that systemd answers with has
    // its name at the start of the message: "org.freedesktop.systemd1.NoSuchUnit: …".
    Result<DbusMessage>
    call(const std::string& member, const std::string& signature, std::string body);

    // A call that answers with a job; returns its result ("done", "failed", …) once it is over.
    Result<std::string>
    run_job(const std::string& member, const std::string& signature, std::string body);

  private:
    explicit SystemdConnection(UniqueFd socket)
        : socket_(std::move(socket)) {}

    Result<void> authenticate(std::uint64_t uid);
    Result<void> greet_bus();
    Result<DbusMessage> exchange(const DbusCall& call);
    Result<DbusMessage> next();
    Result<void> fill(std::size_t size);

    UniqueFd socket_;
    std::string destination_; // on a message bus
    std::string received_;
    std::uint32_t serial_ = 0;
    std::map<std::string, std::string> ended_jobs_; // by object path
    std::chrono::steady_clock::time_point deadline_;
};

} // namespace berth::kernel
