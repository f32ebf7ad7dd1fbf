// SPDX-License-Identifier: Apache-2.0
// Every descriptor is armed once at a time (EPOLLONESHOT), so an event belongs to one owner. Events
// carry ids, not pointers: one that comes late finds nothing and is dropped.
#include "http/connection_loop.h"

#include "base/log.h"
#include "http/connection_stream.h"
#include "http/response_head.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <latch>
#include <memory>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::http {

namespace {

constexpr std::uint64_t wake_id = 0;
constexpr std::uint64_t listener_bit = 1ULL << 63U;
constexpr std::uint32_t hang_up_events = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
constexpr std::size_t scratch_bytes = 64U << 10;
constexpr int accepts_a_round = 64;

std::string address_text(const sockaddr_storage& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
        return std::string(text.data()) + ":" + std::to_string(ntohs(v4.sin_port));
    }
    if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
        return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
    }
    return "@";
}

// A client's machine that loses power or its network says nothing; Go's defaults find out.
void watch_for_vanished(int fd) {
    int on = 1;
    int seconds = 15;
    int probes = 9;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

Peer describe_peer(int fd, const Listener& listener, const sockaddr_storage& address) {
    Peer peer;
    peer.address = address_text(address);
    if (listener.is_unix()) {
        ucred credentials{};
        socklen_t size = sizeof(credentials);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
            peer.credentials = Peer::Credentials{credentials.pid, credentials.uid, credentials.gid};
        }
    } else {
        prepare_tcp(FdRef::unowned(fd), listener.congestion_control());
        watch_for_vanished(fd);
    }
    return peer;
}

void send_at_once(const Connection& connection, std::string_view bytes) {
    // The answer to a client that misbehaves: whether it arrives is the client's affair.
    [[maybe_unused]] ssize_t sent = connection.shakes_hands() ? 0 : connection.wire().send(bytes);
}

} // namespace

Server::Loop::Loop(ServerOptions options)
    : options_(std::move(options))
    , scratch_(scratch_bytes, '\0')
    , relays_(options_.relays ? options_.relays : std::make_shared<Relays>()) {}

Result<std::shared_ptr<Server::Loop>> Server::Loop::create(ServerOptions options) {
    auto loop = std::make_shared<Loop>(std::move(options));
    loop->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
    loop->wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!loop->epoll_ || !loop->wake_) {
        return errno_error("make an epoll loop");
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = wake_id;
    if (epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, loop->wake_.get(), &event) != 0) {
        return errno_error("epoll_ctl");
    }
    const ServerOptions& chosen = loop->options_;
    loop->pool_ = std::make_unique<WorkerPool>(WorkerPool::Options{
        .threads = chosen.worker_threads + 1, // one runs the loop
        .queue_limit = chosen.worker_queue,
        .stack_bytes = chosen.worker_stack_bytes,
        .name = chosen.worker_name});
    return loop;
}

Result<std::uint16_t> Server::Loop::add_listener(Listener listener) {
    std::uint64_t id = next_id_.fetch_add(1) | listener_bit;
    std::uint16_t port = listener.port();
    auto owned = std::make_unique<Listener>(std::move(listener));
    auto guard = listeners_.lock();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, owned->fd().get(), &event) != 0) {
        return errno_error("epoll_ctl");
    }
    guard->emplace(id, std::move(owned));
    return port;
}

Result<void> Server::Loop::start() {
    VERIFY(loop_thread_.load() == std::thread::id());
    TRY(pool_->submit([self = shared_from_this()] { self->run(); }));
    // The loop's thread leaves it to another one only. Where none can be started any more, requests
    // wait for a thread of the pool: so there is a second from the beginning. Until it runs, what
    // starts it takes a place in the queue.
    const auto runs = std::make_shared<std::latch>(1);
    if (!pool_->submit_at_once([runs] { runs->count_down(); })) {
        return Error(ErrorKind::ResourceExhausted, "cannot start a worker thread");
    }
    runs->wait();
    return ok();
}

void Server::Loop::run() {
    loop_thread_ = std::this_thread::get_id();
    std::array<epoll_event, 64> events{};
    while (!finished_) {
        int timeout = timed_ || !accepting_ ? static_cast<int>(sweep_interval().count()) : -1;
        int count =
            epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events[static_cast<std::size_t>(i)];
            // By value: the kernel's structure is packed, so that nothing may refer to its members.
            look_at(event.data.u64, event.events);
        }
        if ((timed_ || !accepting_) && Clock::now() >= next_sweep_) {
            sweep();
            next_sweep_ = Clock::now() + sweep_interval();
        }
        if (ready_ && serve_ready()) {
            return;
        }
    }
}

void Server::Loop::look_at(std::uint64_t id, std::uint32_t events) {
    if (id == wake_id) {
        std::uint64_t value = 0;
        [[maybe_unused]] ssize_t got = read(wake_.get(), &value, sizeof(value));
    } else if ((id & listener_bit) != 0) {
        auto guard = listeners_.lock();
        if (auto found = guard->find(id); found != guard->end()) {
            accept_all(*found->second);
        }
    } else if (ConnectionRef connection = find(id)) {
        handle(connection, events);
    }
}

// True when another thread runs the loop now, and this one is done.
bool Server::Loop::serve_ready() {
    const ConnectionRef connection = std::exchange(ready_, nullptr);
    if (!pool_->submit_at_once([self = shared_from_this()] { self->run(); })) {
        submit(connection);
        return false;
    }
    serve(shared_from_this(), connection);
    return true;
}

void Server::Loop::submit(const ConnectionRef& connection) {
    auto submitted =
        pool_->submit([self = shared_from_this(), connection] { serve(self, connection); });
    if (!submitted.ok()) {
        refuse(connection, 503, submitted.error().message());
    }
}

void Server::Loop::accept_all(const Listener& listener) {
    for (int i = 0; i < accepts_a_round && !stopping(); ++i) {
        sockaddr_storage address{};
        socklen_t size = sizeof(address);
        // SAFETY: accept4 writes at most `size` bytes of whatever family the listener has.
        UniqueFd fd(accept4(
            listener.fd().get(),
            reinterpret_cast<sockaddr*>(&address),
            &size,
            SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (fd) {
            Peer peer = describe_peer(fd.get(), listener, address);
            add_connection(std::move(fd), std::move(peer), listener.tls());
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            // The listener stays readable: without a pause this would spin.
            log::warn("cannot accept a connection, retrying", {{"error", errno}});
            accepting_ = false;
            epoll_event event{};
            epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.fd().get(), &event);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

void Server::Loop::add_connection(UniqueFd fd, Peer peer, const TlsContext* tls) {
    auto connection = std::make_shared<Connection>();
    connection->id = next_id_.fetch_add(1);
    connection->fd = std::move(fd);
    connection->peer = std::move(peer);
    if (tls != nullptr) {
        auto session = tls->accept(connection->fd);
        if (!session.ok()) {
            log::warn("cannot accept a connection", {{"error", session.error().message()}});
            return;
        }
        connection->tls = std::move(*session);
    }
    bool room = connection_count() < options_.limits.connections || make_room();
    connections_.lock()->emplace(connection->id, connection);
    epoll_event event{};
    event.events = EPOLLONESHOT;
    event.data.u64 = connection->id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection->fd.get(), &event) != 0) {
        forget(connection);
    } else if (!room) {
        refuse(connection, 503, "too many connections");
    } else {
        receive(connection); // most clients send at once
    }
}

// Closes the connections that have waited longest between requests: some at once, since finding
// them means to look at all.
bool Server::Loop::make_room() {
    struct Idle {
        Clock::time_point since;
        ConnectionRef connection;
    };

    std::vector<Idle> idle;
    for (ConnectionRef& candidate : all_connections()) {
        const std::lock_guard lock(candidate->mutex);
        if (candidate->state == State::Waiting && candidate->input.empty()) {
            idle.push_back({candidate->since, std::move(candidate)});
        }
    }
    const std::size_t count = std::min(idle.size(), options_.limits.connections / 64 + 1);
    const auto end = idle.begin() + static_cast<std::ptrdiff_t>(count);
    std::ranges::partial_sort(idle, end, {}, &Idle::since);
    for (auto oldest = idle.begin(); oldest != end; ++oldest) {
        forget(oldest->connection);
    }
    return count > 0;
}

ConnectionRef Server::Loop::find(std::uint64_t id) {
    auto guard = connections_.lock();
    auto found = guard->find(id);
    return found == guard->end() ? nullptr : found->second;
}

std::vector<ConnectionRef> Server::Loop::all_connections() {
    std::vector<ConnectionRef> all;
    auto guard = connections_.lock();
    all.reserve(guard->size());
    for (const auto& [id, connection] : *guard) {
        all.push_back(connection);
    }
    return all;
}

void Server::Loop::arm(const Connection& connection, std::uint32_t events) {
    epoll_event event{};
    event.events = events | EPOLLONESHOT;
    event.data.u64 = connection.id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &event) != 0) {
        log::error("cannot watch a connection", {{"error", errno}});
    }
}

void Server::Loop::handle(const ConnectionRef& connection, std::uint32_t events) {
    std::unique_lock lock(connection->mutex);
    switch (connection->state) {
    case State::Waiting:
        lock.unlock();
        receive(connection);
        return;
    case State::Working: {
        std::stop_source stop = connection->stop;
        lock.unlock();
        if ((events & hang_up_events) != 0) {
            stop.request_stop();
        }
        return;
    }
    case State::Streaming: {
        std::shared_ptr<ConnectionStream> stream = connection->stream;
        std::stop_source stop = connection->stop;
        lock.unlock();
        if ((events & hang_up_events) != 0) {
            stop.request_stop();
            if (stream->hang_up()) {
                forget(connection);
            }
        } else {
            stream->flush();
        }
        return;
    }
    case State::Lingering:
        lock.unlock();
        drop_input(connection);
        return;
    case State::Closed:
        return;
    }
}

void Server::Loop::receive(const ConnectionRef& connection) {
    std::unique_lock lock(connection->mutex);
    if (connection->state != State::Waiting || stopping()) {
        return; // stop() closes it
    }
    if (connection->shakes_hands()) {
        // Its arithmetic takes up to a millisecond: not in this thread.
        connection->state = State::Working;
        connection->stop = std::stop_source();
        lock.unlock();
        auto submitted = pool_->submit(
            [self = shared_from_this(), connection] { self->shake_hands(connection); });
        if (!submitted.ok()) {
            forget(connection);
        }
        return;
    }
    ssize_t count = receive_pending(*connection);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        arm(*connection, EPOLLIN);
        return;
    }
    if (count <= 0) {
        lock.unlock();
        forget(connection);
        return;
    }
    drop_empty_lines(connection->input);
    count_input(*connection);
    const Limits& limits = options_.limits;
    if (may_be_served(connection->input, limits)) {
        dispatch(connection, std::move(lock));
    } else if (!may_be_request(connection->input)) {
        lock.unlock();
        refuse(connection, 400, "this is not an HTTP request");
    } else if (
        connection->input.size() > limits.head_bytes &&
        connection->input.find("\r\n\r\n") == std::string::npos) {
        lock.unlock();
        refuse(
            connection,
            431,
            "the request's head is larger than the limit of " + std::to_string(limits.head_bytes) +
                " bytes");
    } else if (held_ > limits.held_bytes) {
        lock.unlock();
        refuse(connection, 503, "too many unfinished requests");
    } else {
        need_sweeps();
        arm(*connection, EPOLLIN);
    }
}

// All that can be had without waiting, to the connection's input; as recv(2). More than once only
// where decrypted bytes lie in the session: the socket would not tell of these.
ssize_t Server::Loop::receive_pending(Connection& connection) {
    ssize_t count = 0;
    do {
        count = connection.wire().receive(scratch_);
        if (count <= 0) {
            break;
        }
        if (connection.input.empty()) {
            connection.since = Clock::now();
        }
        connection.input.append(scratch_.data(), static_cast<std::size_t>(count));
    } while (connection.tls && connection.tls->has_pending() &&
             connection.input.size() <=
                 options_.limits.head_bytes + options_.limits.awaited_body_bytes);
    return count < 0 && !connection.input.empty() && errno == EAGAIN ? 1 : count;
}

void Server::Loop::count_input(Connection& connection) {
    held_ += connection.input.size();
    held_ -= std::exchange(connection.counted, connection.input.size());
}

std::string Server::Loop::take_input(Connection& connection) {
    held_ -= std::exchange(connection.counted, 0);
    return std::exchange(connection.input, {});
}

void Server::Loop::dispatch(const ConnectionRef& connection, std::unique_lock<std::mutex> lock) {
    connection->state = State::Working;
    connection->stop = std::stop_source();
    arm(*connection, EPOLLRDHUP);
    lock.unlock();
    const ConnectionRef before = std::exchange(ready_, connection);
    if (before) {
        submit(before);
    }
}

void Server::Loop::refuse(
    const ConnectionRef& connection, unsigned status, std::string_view message) {
    {
        std::lock_guard lock(connection->mutex);
        if (connection->state == State::Closed) {
            return; // by stop()
        }
        send_at_once(*connection, error_response(options_, status, message));
    }
    close_gently(connection);
}

void Server::Loop::drop_input(const ConnectionRef& connection) {
    std::unique_lock lock(connection->mutex);
    if (connection->state != State::Lingering) {
        return;
    }
    ssize_t count = recv(connection->fd.get(), scratch_.data(), scratch_.size(), 0);
    if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))) {
        arm(*connection, EPOLLIN);
    } else {
        lock.unlock();
        forget(connection);
    }
}

void Server::Loop::forget(const ConnectionRef& connection) {
    {
        std::lock_guard lock(connection->mutex);
        connection->state = State::Closed;
        connection->stream = nullptr;
        connection->fd.reset();
        take_input(*connection);
    }
    connections_.lock()->erase(connection->id);
    note_progress();
}

void Server::Loop::wake() {
    std::uint64_t one = 1;
    [[maybe_unused]] ssize_t written = write(wake_.get(), &one, sizeof(one));
}

std::size_t Server::Loop::connection_count() const {
    return connections_.lock()->size();
}

} // namespace berth::http
