// SPDX-License-Identifier: Apache-2.0
// The epoll loop behind Server: accepts, waits for heads, watches for hang-ups, flushes streams.
// Not io::EventLoop, because a context switch takes longer than many a request: workers re-arm a
// connection themselves when they are done with it, and the thread that has received a request
// serves it, while another one of the pool goes on with the loop. One runs it at a time. Internal.
#pragma once

#include "base/synchronized.h"
#include "base/worker_pool.h"
#include "http/listener.h"
#include "http/relay.h"
#include "http/server.h"
#include "http/socket_io.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace berth::http {

class ConnectionStream;

// What one connection is at. Everything but id, peer and fd is guarded by mutex; the descriptor is
// closed only in state Closed, which the owner of the moment sets: the loop in Waiting, Streaming
// and Lingering, the worker in Working.
struct Connection {
    enum class State : std::uint8_t {
        Waiting,   // for a request: epoll has it for reading
        Working,   // a worker has it; epoll tells of a hang-up only
        Streaming, // as Working, without a worker
        Lingering, // answered and shut down for writing; what still comes is dropped
        Closed,
    };
    using Clock = std::chrono::steady_clock;

    std::uint64_t id = 0;
    UniqueFd fd;
    std::unique_ptr<TlsSession> tls; // belongs to who owns the connection at the moment
    Peer peer;

    Wire wire() const { return Wire(fd, tls.get()); }

    bool shakes_hands() const { return tls && !tls->established(); }

    std::mutex mutex;
    State state = State::Waiting;
    std::string input;       // received, not yet parsed
    std::size_t counted = 0; // of it, among what the loop holds of all connections
    Clock::time_point since = Clock::now();
    std::stop_source stop{std::nostopstate}; // of the request that runs
    std::shared_ptr<ConnectionStream> stream;
};

using ConnectionRef = std::shared_ptr<Connection>;

// Shared by the server, its thread, jobs and streams.
class Server::Loop : public std::enable_shared_from_this<Server::Loop> {
  public:
    static Result<std::shared_ptr<Loop>> create(ServerOptions options);
    explicit Loop(ServerOptions options);

    const ServerOptions& options() const { return options_; }

    Result<std::uint16_t> add_listener(Listener listener);
    Result<void> start();
    void stop(std::chrono::milliseconds grace);
    std::size_t connection_count() const;

    bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

    // --- for the worker that has the connection ---

    // A pipelined request is served by the same worker: its stop token, with the watch for a
    // hang-up armed anew.
    std::stop_token next_request(const ConnectionRef& connection);
    // What was received, which the loop holds no longer. REQUIRES: the connection's mutex.
    std::string take_input(Connection& connection);
    // The request is answered. `leftover` came behind it.
    void resume(const ConnectionRef& connection, std::string leftover);
    void close(const ConnectionRef& connection);
    // Closes so that the client still gets what was sent although it is sending itself.
    void close_gently(const ConnectionRef& connection);
    // Out of the loop and out of the table; the caller owns the descriptor.
    UniqueFd take(const ConnectionRef& connection);
    // The request's handler has returned, whatever became of its connection.
    void handler_ended(const ConnectionRef& connection);
    void begin_streaming(const ConnectionRef& connection, std::shared_ptr<ConnectionStream> stream);

    // For connections that were taken and cannot leave the process.
    RelayHost& relays() { return *relays_; }

    // epoll tells of a hang-up, and of room to write when `writable`.
    void watch_stream(const Connection& connection, bool writable);

  private:
    using State = Connection::State;
    using Clock = Connection::Clock;

    void run();
    void look_at(std::uint64_t id, std::uint32_t events);
    bool serve_ready();
    void submit(const ConnectionRef& connection);
    void accept_all(const Listener& listener);
    void add_connection(UniqueFd fd, Peer peer, const TlsContext* tls);
    bool make_room();
    ConnectionRef find(std::uint64_t id);
    void handle(const ConnectionRef& connection, std::uint32_t events);
    void receive(const ConnectionRef& connection);
    void shake_hands(const ConnectionRef& connection);
    ssize_t receive_pending(Connection& connection);
    void dispatch(const ConnectionRef& connection, std::unique_lock<std::mutex> lock);
    void refuse(const ConnectionRef& connection, unsigned status, std::string_view message);
    void drop_input(const ConnectionRef& connection);
    void arm(const Connection& connection, std::uint32_t events);
    void count_input(Connection& connection);
    void forget(const ConnectionRef& connection);
    void sweep();
    std::chrono::milliseconds sweep_interval() const;
    std::vector<ConnectionRef> all_connections();
    void expire(const ConnectionRef& connection, Clock::time_point now);
    void wake();
    void interrupt_workers();
    void stop_taken();
    void close_listeners();
    void set_listening(bool on);
    void need_sweeps();
    void note_progress();
    std::size_t busy_count();

    ServerOptions options_;
    UniqueFd epoll_;
    UniqueFd wake_;
    Synchronized<std::map<std::uint64_t, std::unique_ptr<Listener>>> listeners_;
    Synchronized<std::unordered_map<std::uint64_t, ConnectionRef>> connections_;
    Synchronized<std::unordered_map<std::uint64_t, ConnectionRef>> taken_; // their handlers run
    std::atomic<std::uint64_t> next_id_ = 1;
    std::atomic<std::size_t> held_ = 0; // bytes of input of all connections
    std::atomic<bool> timed_ = false;   // some connection has a deadline: sweeps are needed
    std::atomic<bool> stopping_ = false;
    std::atomic<bool> finished_ = false; // the thread is to end
    // Of the thread that runs the loop at the moment.
    bool accepting_ = true; // false while descriptors are exhausted
    Clock::time_point next_sweep_;
    std::string scratch_;
    ConnectionRef ready_; // the last whose request this round of the loop has completed
    std::unique_ptr<WorkerPool> pool_;
    std::shared_ptr<RelayHost> relays_;
    std::atomic<std::thread::id> loop_thread_;
    std::mutex stop_mutex_;
    std::mutex progress_mutex_;
    std::condition_variable progress_; // while stopping: a connection became free
};

// Parses what `connection` received, runs the handler and sends the rest. In a worker.
void serve(const std::shared_ptr<Server::Loop>& loop, const ConnectionRef& connection);

} // namespace berth::http
