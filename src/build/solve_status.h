// SPDX-License-Identifier: Apache-2.0
// A build's steps as BuildKit's StatusResponses: vertices, bytes moved, output.
#pragma once

#include "build/build_observer.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

class SolveStatus final : public BuildObserver {
  public:
    // Gets serialized messages, on the thread that tells.
    using Send = std::function<void(const std::string& status)>;

    // ref: the build's own name, from which its vertices' digests are made.
    SolveStatus(std::string ref, Send send);
    ~SolveStatus() override;

    Vertex begin(std::string name) override;
    void log(Vertex vertex, std::string_view bytes) override;
    void end(Vertex vertex, Outcome outcome, std::string_view error) override;
    void progress(std::string_view what, std::int64_t current, std::int64_t total) override;

  private:
    struct Entry {
        std::string digest;
        std::string name;
        std::int64_t started = 0;
        std::size_t logged = 0;
        std::set<std::string> statuses; // begun
    };

    std::string ref_;
    Send send_;
    std::mutex mutex_; // a pull tells from threads of its own
    std::vector<Entry> entries_;
    std::vector<Vertex> open_; // innermost last
};

// The messages of one build, kept for those who follow it. Thread-safe.
class StatusLog {
  public:
    void add(std::string message);
    void close();

    // The message with that number; false when there are no more, or stop fires.
    bool read(const std::stop_token& stop, std::size_t number, std::string& message);

  private:
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::vector<std::string> messages_;
    std::size_t bytes_ = 0;
    bool closed_ = false;
};

} // namespace berth::build
