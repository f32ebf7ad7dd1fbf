// SPDX-License-Identifier: Apache-2.0
// The end of a session's connection is seen on a descriptor beside gRPC's; a client that is silent
// without having closed is found by gRPC's health checks.
#include "build/client_sessions.h"

#include "base/log.h"
#include "base/strings.h"
#include "build/proto/session.pb.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

namespace berth::build {

namespace {

constexpr std::size_t id_limit = 256;
constexpr std::size_t method_limit = 64;
constexpr std::chrono::seconds wait_limit{5};
constexpr std::chrono::seconds health_interval{20};
constexpr std::chrono::seconds health_limit{20};
constexpr const char* health_method = "/grpc.health.v1.Health/Check";

// False: the client does not answer. One without the service is taken for healthy.
bool is_healthy(const ClientSession& session, const std::stop_token& stop) {
    if (!session.supports(to_lower(health_method))) {
        return true;
    }
    const auto answer = call_once(
        session.channel(),
        health_method,
        session::HealthCheckRequest().SerializeAsString(),
        stop,
        health_limit);
    constexpr int serving = 1;
    session::HealthCheckResponse response;
    return answer.ok() && response.ParseFromString(*answer) && response.status() == serving;
}

// Returns when the other side has closed, does not answer any more, or stop fires.
Result<void>
wait_for_end(const std::stop_token& stop, FdRef connection, const ClientSession& session) {
    const UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) {
        return errno_error("eventfd");
    }
    const std::stop_callback on_stop(stop, [&wake] { eventfd_write(wake.get(), 1); });
    const int interval = static_cast<int>(std::chrono::milliseconds(health_interval).count());
    while (!stop.stop_requested()) {
        // POLLRDHUP alone: what there is to read is gRPC's.
        std::array<pollfd, 2> polled{
            pollfd{connection.get(), POLLRDHUP, 0}, pollfd{wake.get(), POLLIN, 0}};
        const int ready = ::poll(polled.data(), polled.size(), interval);
        if (ready < 0 && errno != EINTR) {
            return errno_error("poll");
        }
        if (ready > 0 && polled[0].revents != 0) {
            return ok();
        }
        if (ready == 0 && !is_healthy(session, stop)) {
            return Error(ErrorKind::Unavailable, "the client does not answer health checks");
        }
    }
    return ok();
}

} // namespace

ClientSession::ClientSession(const SessionInfo& info, std::unique_ptr<RpcChannel> channel)
    : id_(info.id)
    , channel_(std::move(channel)) {
    for (const std::string& method : info.methods) {
        methods_.insert(to_lower(method));
    }
}

ClientSessions::Reservation::~Reservation() {
    if (sessions_ != nullptr) {
        const std::lock_guard lock(sessions_->mutex_);
        sessions_->sessions_.erase(id_);
    }
}

Result<ClientSessions::Reservation> ClientSessions::reserve(const SessionInfo& info) {
    if (info.id.empty() || info.id.size() > id_limit) {
        return invalid_argument(
            info.id.empty() ? "no session id in request (X-Docker-Expose-Session-Uuid)"
                            : "the session id is too long");
    }
    if (info.methods.size() > method_limit) {
        return invalid_argument("the session exposes too many methods");
    }
    const std::lock_guard lock(mutex_);
    if (sessions_.contains(info.id)) {
        return conflict("session " + info.id + " already exists");
    }
    if (sessions_.size() >= limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            "there are " + std::to_string(limit) + " sessions already, which is the limit");
    }
    sessions_.emplace(info.id, nullptr);
    return Reservation(*this, info.id);
}

Result<void> ClientSessions::serve(
    const std::stop_token& stop,
    const SessionInfo& info,
    RpcTransport& transport,
    UniqueFd socket) {
    const UniqueFd watched(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
    if (!watched) {
        return errno_error("watching a session's connection");
    }
    const std::string id = info.id;
    auto channel = TRY(transport.connect(std::move(socket)));
    auto session = std::make_shared<ClientSession>(info, std::move(channel));
    {
        const std::lock_guard lock(mutex_);
        sessions_[id] = session;
    }
    changed_.notify_all();
    log::debug("session began", {{"id", id}});
    auto ended = wait_for_end(stop, watched, *session);
    {
        const std::lock_guard lock(mutex_);
        sessions_[id] = nullptr;
    }
    log::debug("session ended", {{"id", id}});
    return ended;
}

Result<std::shared_ptr<ClientSession>>
ClientSessions::wait_for(const std::stop_token& stop, const std::string& id) const {
    std::unique_lock lock(mutex_);
    const bool found = changed_.wait_for(lock, stop, wait_limit, [this, &id] {
        const auto session = sessions_.find(id);
        return session != sessions_.end() && session->second != nullptr;
    });
    if (!found) {
        return stop.stop_requested() ? Error(ErrorKind::Cancelled, "build cancelled")
                                     : not_found("no active session for " + id);
    }
    return sessions_.at(id);
}

} // namespace berth::build
