// SPDX-License-Identifier: Apache-2.0
// What a MonitorClient shares with the event loop: the connection, the questions under way, and the
// child that the monitor is when this engine has started it.
#pragma once

#include "base/synchronized.h"
#include "kernel/process.h"
#include "monitor/channel.h"
#include "monitor/client.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace berth::monitor {

struct MonitorClient::State : std::enable_shared_from_this<MonitorClient::State> {
  public:
    State(io::EventLoop& loop, UniqueFd socket, MonitorHandlers handlers);

    ~State();

    // REQUIRES: before begin().
    void set_child(kernel::Child child);

    // Lets the loop read what the monitor says, from any thread. Before, whoever asks reads the
    // answer himself: it would cost a second context switch on its way through the loop.
    void begin();

    // Sends a request with a descriptor (-1: none) and waits for its answer.
    Result<Notice> ask(const Request& request, int descriptor = -1);

    // DeadlineExceeded when there is none in time. REQUIRES: begin().
    Result<Notice> ask_within(std::chrono::milliseconds limit, const Request& request);

    // Exits that happened while no engine was connected.
    void tell_past_exits(const StatusReply& reply);

    // The client is destroyed: no handler runs after this.
    void abandon();

    pid_t monitor_pid() const { return monitor_pid_; }

  private:
    struct Question {
        std::optional<Result<Notice>> answer;
    };

    using Limit = std::optional<std::chrono::milliseconds>;

    Result<Notice> ask(const Request& request, int descriptor, Limit limit);
    void watch();
    bool is_answered(std::uint32_t number);
    void read_until_answered(std::uint32_t number);
    void handle_readable();
    Result<bool> read_messages();
    void handle_message(const Message& message);
    void tell(const Notice& notice);
    void lose();
    void reap_child();

    io::EventLoop& loop_;
    UniqueFd socket_; // closed by the loop's thread only
    MonitorHandlers handlers_;
    pid_t monitor_pid_ = 0;
    std::optional<kernel::Child> child_;
    bool watched_ = false;

    std::mutex reading_; // held by who reads before the loop does
    bool begun_ = false; // the loop reads
    MessageReceiver receiver_;

    // Handlers run with this held, so that abandon() can wait for the one that runs; recursive,
    // because a handler may end in the client's destruction.
    std::recursive_mutex handling_;
    bool abandoned_ = false;

    std::mutex sending_; // one message at a time
    std::mutex mutex_;   // guards what follows
    std::condition_variable answered_;
    std::map<std::uint32_t, Question> questions_;
    std::uint32_t next_number_ = 1;
    bool lost_ = false;
};

} // namespace berth::monitor
