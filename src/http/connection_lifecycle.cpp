// SPDX-License-Identifier: Apache-2.0
// The loop's side that other threads call: workers that give a connection back, and stop().
#include "http/connection_loop.h"
#include "http/connection_stream.h"
#include "http/response_head.h"

#include <utility>

#include <sys/epoll.h>
#include <sys/socket.h>

namespace berth::http {

std::stop_token Server::Loop::next_request(const ConnectionRef& connection) {
    std::lock_guard lock(connection->mutex);
    connection->stop = std::stop_source();
    arm(*connection, EPOLLRDHUP);
    return connection->stop.get_token();
}

// In a worker; the connection goes back to the loop for what the peer must say or take first.
void Server::Loop::shake_hands(const ConnectionRef& connection) {
    TlsSession::Step step = connection->tls->handshake();
    if (stopping()) {
        close(connection);
        return;
    }
    if (step == TlsSession::Step::Failed) {
        close_gently(connection); // the peer shall read why
        return;
    }
    if (step == TlsSession::Step::Done) {
        connection->peer.tls = std::make_shared<const TlsIdentity>(connection->tls->peer());
    }
    {
        std::lock_guard lock(connection->mutex);
        if (step == TlsSession::Step::Done && connection->tls->leaves_plain_bytes()) {
            connection->tls = nullptr;
        }
        connection->state = State::Waiting;
        connection->stop = std::stop_source(std::nostopstate);
        need_sweeps();
        arm(*connection, step == TlsSession::Step::WantsWrite ? EPOLLOUT : EPOLLIN);
    }
    note_progress();
}

void Server::Loop::resume(const ConnectionRef& connection, std::string leftover) {
    if (stopping()) {
        close(connection);
        return;
    }
    drop_empty_lines(leftover);
    {
        std::lock_guard lock(connection->mutex);
        bool timed = !leftover.empty() || options_.limits.idle_time.count() > 0;
        connection->state = State::Waiting;
        connection->input = std::move(leftover);
        count_input(*connection);
        connection->since = Clock::now();
        connection->stop = std::stop_source(std::nostopstate);
        connection->stream = nullptr;
        if (timed) {
            need_sweeps();
        }
        // What the session has decrypted already makes no socket readable; it is writable at once.
        bool pending = connection->tls && connection->tls->has_pending();
        arm(*connection, pending ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
    note_progress();
}

void Server::Loop::close(const ConnectionRef& connection) {
    forget(connection);
}

void Server::Loop::close_gently(const ConnectionRef& connection) {
    {
        std::lock_guard lock(connection->mutex);
        if (connection->state == State::Closed) {
            return;
        }
        if (connection->tls) {
            connection->tls->finish();
        }
        shutdown(connection->fd.get(), SHUT_WR);
        connection->state = State::Lingering;
        connection->stream = nullptr;
        take_input(*connection);
        connection->since = Clock::now();
        need_sweeps();
        arm(*connection, EPOLLIN);
    }
    note_progress();
}

UniqueFd Server::Loop::take(const ConnectionRef& connection) {
    UniqueFd fd;
    {
        std::lock_guard lock(connection->mutex);
        // Not left to close(): the descriptor's copies (in a monitor) would keep it registered.
        epoll_event event{};
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection->fd.get(), &event);
        connection->state = State::Closed;
        fd = std::move(connection->fd);
    }
    connections_.lock()->erase(connection->id);
    taken_.lock()->emplace(connection->id, connection);
    if (stopping()) {
        stop_taken();
    }
    note_progress();
    return fd;
}

void Server::Loop::handler_ended(const ConnectionRef& connection) {
    taken_.lock()->erase(connection->id);
}

// Handlers that serve what they took: nobody else can tell them.
void Server::Loop::stop_taken() {
    std::vector<std::stop_source> sources;
    {
        auto taken = taken_.lock();
        for (const auto& [id, connection] : *taken) {
            const std::lock_guard lock(connection->mutex);
            sources.push_back(connection->stop);
        }
    }
    for (std::stop_source& source : sources) {
        source.request_stop();
    }
}

void Server::Loop::begin_streaming(
    const ConnectionRef& connection, std::shared_ptr<ConnectionStream> stream) {
    std::lock_guard lock(connection->mutex);
    connection->state = State::Streaming;
    connection->stream = std::move(stream);
    arm(*connection, EPOLLRDHUP);
}

void Server::Loop::watch_stream(const Connection& connection, bool writable) {
    arm(connection, writable ? EPOLLRDHUP | EPOLLOUT : EPOLLRDHUP);
}

void Server::Loop::note_progress() {
    if (stopping()) {
        std::lock_guard lock(progress_mutex_);
        progress_.notify_all();
    }
}

std::size_t Server::Loop::busy_count() {
    std::size_t busy = 0;
    for (const ConnectionRef& connection : all_connections()) {
        std::lock_guard lock(connection->mutex);
        busy += connection->state == State::Working ? 1U : 0U;
    }
    return busy;
}

// Fires the stop tokens and breaks the connections, so that handlers that wait for either end.
void Server::Loop::interrupt_workers() {
    for (const ConnectionRef& connection : all_connections()) {
        std::unique_lock lock(connection->mutex);
        if (connection->state == State::Working) {
            // The token first: a handler that then sees its connection break knows why.
            std::stop_source stop = connection->stop;
            lock.unlock();
            stop.request_stop();
            lock.lock();
            if (connection->state == State::Working) {
                shutdown(connection->fd.get(), SHUT_RDWR);
            }
        }
    }
}

void Server::Loop::close_listeners() {
    listeners_.lock()->clear();
}

void Server::Loop::stop(std::chrono::milliseconds grace) {
    std::lock_guard only_one(stop_mutex_);
    if (stopping_.exchange(true)) {
        return;
    }
    close_listeners();
    for (const ConnectionRef& connection : all_connections()) {
        std::unique_lock lock(connection->mutex);
        std::shared_ptr<ConnectionStream> stream = connection->stream;
        bool streaming = connection->state == State::Streaming;
        bool working = connection->state == State::Working;
        std::stop_source stop = connection->stop;
        lock.unlock();
        if (streaming) {
            stop.request_stop();
            if (stream->hang_up()) {
                forget(connection);
            }
        } else if (!working) {
            forget(connection);
        }
    }
    stop_taken();
    auto deadline = Clock::now() + grace;
    {
        std::unique_lock lock(progress_mutex_);
        progress_.wait_until(lock, deadline, [this] { return busy_count() == 0; });
    }
    interrupt_workers();
    finished_ = true;
    wake();
    pool_->wait_idle(); // handlers, and who runs the loop
    for (const ConnectionRef& connection : all_connections()) {
        forget(connection);
    }
    relays_->wait_for_end(grace); // of containers that were stopped: their last words
    pool_.reset();                // jobs hold the loop and the loop holds the pool
}

} // namespace berth::http
