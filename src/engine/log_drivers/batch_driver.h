// SPDX-License-Identifier: Apache-2.0
// What the drivers share that send messages over one connection: the batch, connecting anew.
#pragma once

#include "engine/log_driver.h"
#include "engine/log_drivers/log_connection.h"

#include <memory>
#include <string>
#include <vector>

namespace berth::engine {

// Messages one behind the other, of a stream or one datagram each.
class LogBatch {
  public:
    void add(std::string_view message) {
        bytes_ += message;
        ends_.push_back(bytes_.size());
    }

    std::size_t size() const { return bytes_.size(); }

    void clear();

    // As one piece.
    Result<void> send_stream(LogConnection& connection, const std::stop_token& stop);
    // Those that were not sent yet; one that is too large is cut by the caller before.
    Result<void> send_datagrams(LogConnection& connection, const std::stop_token& stop);

  private:
    std::string bytes_;
    std::vector<std::size_t> ends_;
    std::size_t sent_ = 0; // datagrams
};

class BatchDriver : public LogDriver {
  public:
    BatchDriver(
        LogAddress address, LogTls tls, std::chrono::milliseconds send_limit = log_connection_time)
        : address_(std::move(address))
        , tls_(std::move(tls))
        , send_limit_(send_limit) {}

    Result<void> connect(std::stop_token stop) override;

    bool is_connected() const override { return connection_ != nullptr; }

    std::size_t batch_size() const override { return batch_.size(); }

    Result<void> send(std::stop_token stop) override;

    void drop_batch() override { batch_.clear(); }

    void disconnect() override { connection_.reset(); }

  protected:
    // What goes over the connection for a batch, and what comes back.
    virtual Result<void>
    deliver(LogConnection& connection, LogBatch& batch, const std::stop_token& stop);

    LogBatch batch_;

  private:
    LogAddress address_;
    LogTls tls_;
    std::chrono::milliseconds send_limit_;
    std::unique_ptr<LogConnection> connection_;
};

} // namespace berth::engine
