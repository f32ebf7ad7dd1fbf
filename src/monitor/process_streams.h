// SPDX-License-Identifier: Apache-2.0
// ProcessStreams: standard input and output of one process (the container's init or an exec): its
// pipes or terminal, the log, and the clients that are attached.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "io/event_loop.h"
#include "io/log_output.h"
#include "io/terminal.h"
#include "monitor/attached_client.h"
#include "monitor/scratch.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace berth::monitor {

// What may be held for a client that does not read: then the process's output is not read, and the
// process waits in its write. Docker does the same with the same megabyte.
inline constexpr std::size_t client_queue_limit = 1U << 20;

// After the process has ended its pipes are emptied whatever clients do, up to this.
inline constexpr std::size_t final_queue_limit = 4U << 20;

// How often a log without room is looked at again.
inline constexpr std::chrono::milliseconds log_room_interval{20};

// How long output is waited for that children of an ended process may still write (Docker's time).
inline constexpr std::chrono::seconds drain_limit{2};

class ProcessStreams {
  public:
    struct Options {
        bool terminal = false;
        bool open_stdin = false;
        bool close_stdin_with_client = false; // StdinOnce; always for execs
        io::LogOutput* log = nullptr;
    };

    // From the loop. on_drained: once, when the process has ended and no more output will come.
    // on_idle: when the last client has gone after that. Neither may destroy the object.
    struct Handlers {
        std::function<void()> on_drained;
        std::function<void()> on_idle;
        std::function<void()> on_detach;
    };

    // `scratch` is used within a callback only and can be shared by all.
    ProcessStreams(io::EventLoop& loop, Scratch& scratch, Options options, Handlers handlers);
    ProcessStreams(const ProcessStreams&) = delete;
    ProcessStreams& operator=(const ProcessStreams&) = delete;
    ~ProcessStreams();

    // The process's ends of its pipes; not for terminals.
    struct ProcessEnds {
        UniqueFd in;
        UniqueFd out;
        UniqueFd err;
    };

    Result<ProcessEnds> make_pipes();
    void set_terminal(UniqueFd master);
    Result<void> resize(io::TerminalSize size);

    // Begins to read the process's output.
    Result<void> open();

    Result<void> attach(UniqueFd connection, AttachStreams streams);
    void process_ended();

    // Stops waiting for output, as on_drained would.
    void give_up();

    bool drained() const { return drained_; }

    bool has_clients() const { return !clients_.empty(); }

  private:
    struct Output {
        UniqueFd fd;
        io::Stream stream = io::Stream::Stdout;
        bool watched = false;
        bool limited = false; // not watched because a client is slow
    };

    using ClientPtr = std::unique_ptr<AttachedClient>;

    void watch_output(Output& output);
    void unwatch_output(Output& output);
    bool read_output(Output& output);
    void close_output(Output& output);
    void apply_limit();
    void wait_for_log();
    void end_wait_for_log();
    void check_drained();

    void handle_client(AttachedClient& client, std::uint32_t events);
    void handle_input(AttachedClient& client);
    void handle_input_end(AttachedClient& client);
    void update_client(AttachedClient& client);
    void unwatch_client(AttachedClient& client);
    void update_clients();

    const UniqueFd& stdin_fd() const;
    void watch_stdin();
    void feed_stdin(std::string_view typed);
    void flush_stdin();
    void close_stdin();

    io::EventLoop& loop_;
    Scratch& scratch_;
    Options options_;
    Handlers handlers_;
    UniqueFd terminal_;
    UniqueFd stdin_;
    std::array<Output, 2> outputs_;
    std::vector<ClientPtr> clients_;
    std::string stdin_pending_;
    bool stdin_open_ = false;
    bool stdin_watched_ = false;
    bool stdin_ends_ = false; // once what is pending is written
    bool ended_ = false;
    bool drained_ = false;
    std::optional<io::EventLoop::TimerId> drain_timer_;
    std::optional<io::EventLoop::TimerId> log_timer_; // set: the log has no room, nothing is read
};

} // namespace berth::monitor
