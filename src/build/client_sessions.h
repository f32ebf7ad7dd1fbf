// SPDX-License-Identifier: Apache-2.0
// BuildKit sessions: connections of clients that answer calls of ours (files, secrets, credentials,
// agents) for as long as they last. A session is usable by whoever names its id, which its client
// made up at random.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "base/unique_fd.h"
#include "build/rpc.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace berth::build {

// The headers X-Docker-Expose-Session-*.
struct SessionInfo {
    std::string id;
    std::string name;
    std::vector<std::string> methods; // "/moby.filesync.v1.FileSync/DiffCopy"
};

// Thread-safe.
class ClientSession {
  public:
    ClientSession(const SessionInfo& info, std::unique_ptr<RpcChannel> channel);

    const std::string& id() const { return id_; }

    bool supports(const std::string& method) const { return methods_.contains(method); }

    RpcChannel& channel() const { return *channel_; }

  private:
    std::string id_;
    std::set<std::string> methods_; // in lower case: clients spell them in two ways
    std::unique_ptr<RpcChannel> channel_;
};

// Thread-safe; outlives its sessions' requests.
class ClientSessions {
  public:
    static constexpr std::size_t limit = 128;

    // A session's id, kept from others: the client hears that it is taken while there is still an
    // answer to give.
    class Reservation {
      public:
        Reservation(ClientSessions& sessions, std::string id)
            : sessions_(&sessions)
            , id_(std::move(id)) {}

        Reservation(Reservation&& other) noexcept
            : sessions_(std::exchange(other.sessions_, nullptr))
            , id_(std::move(other.id_)) {}

        Reservation& operator=(Reservation&&) = delete;
        ~Reservation();

      private:
        ClientSessions* sessions_;
        std::string id_;
    };

    // InvalidArgument, in dockerd's words, for a session that cannot be; Conflict for an id that is
    // taken, ResourceExhausted above the limit.
    Result<Reservation> reserve(const SessionInfo& info);

    // Keeps the session until its connection ends or stop fires. `socket` is connected, and the
    // client speaks gRPC's server on it. REQUIRES: the caller has the session's reservation, and
    // keeps it.
    Result<void> serve(
        const std::stop_token& stop,
        const SessionInfo& info,
        RpcTransport& transport,
        UniqueFd socket);

    // Clients open the session and ask for the build at the same time, so this waits a little.
    Result<std::shared_ptr<ClientSession>>
    wait_for(const std::stop_token& stop, const std::string& id) const;

  private:
    mutable std::mutex mutex_;
    mutable std::condition_variable_any changed_;
    std::map<std::string, std::shared_ptr<ClientSession>> sessions_; // nullptr: reserved
};

} // namespace berth::build
