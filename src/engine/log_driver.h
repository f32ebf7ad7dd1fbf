// SPDX-License-Identifier: Apache-2.0
// A logging driver that hands lines on to another program: syslog, journald, fluentd, GELF.
// Variants: log_drivers/.
#pragma once

#include "base/result.h"
#include "engine/log_info.h"
#include "io/log_lines.h"

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace berth::engine {

// One thread at a time.
class LogDriver {
  public:
    struct Retry {
        std::chrono::milliseconds wait{1000}; // doubled each time, up to half a minute
        std::uint64_t count = std::numeric_limits<std::uint64_t>::max(); // then the batch is lost
    };

    LogDriver() = default;
    LogDriver(const LogDriver&) = delete;
    LogDriver& operator=(const LogDriver&) = delete;
    virtual ~LogDriver() = default;

    // Before the container's start, whose error it is when nobody is there; unless the driver may
    // begin without.
    virtual Result<void> connect(std::stop_token stop) = 0;

    virtual bool needs_peer_at_start() const { return true; }

    virtual bool is_connected() const = 0;

    // How many lines may wait while the peer is away: those after them are lost. All, as far as
    // the files go, without one.
    virtual std::optional<std::uint64_t> waiting_limit() const { return std::nullopt; }

    // Adds a line to the batch.
    virtual void add(const io::LogLine& line) = 0;
    virtual std::size_t batch_size() const = 0;

    // Hands the batch over; it is empty then. After an error it is still there, and the next call
    // connects anew and sends it again: what a peer that went away had taken comes twice.
    virtual Result<void> send(std::stop_token stop) = 0;
    virtual void drop_batch() = 0;

    // Nothing comes for a while.
    virtual void disconnect() = 0;

    virtual Retry retry() const { return {}; }
};

// REQUIRES: is_remote_log_driver(type) and options that were checked.
Result<std::unique_ptr<LogDriver>> make_log_driver(std::string_view type, const LogInfo& info);

// Addresses, formats, numbers: what can be told without the container.
Result<void> check_log_driver_options(std::string_view type, const LogInfo& probe);

// As Go writes a map of strings.
std::string encode_log_attributes(const StringMap& attributes);

} // namespace berth::engine
