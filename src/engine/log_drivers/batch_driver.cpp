// SPDX-License-Identifier: Apache-2.0
// A connection that failed is dropped; the batch stays.
#include "engine/log_drivers/batch_driver.h"

#include <cerrno>

namespace berth::engine {

void LogBatch::clear() {
    constexpr std::size_t kept = 16U << 10; // a quiet container holds little
    bytes_.clear();
    if (bytes_.capacity() > kept) {
        bytes_.shrink_to_fit();
        ends_.shrink_to_fit();
    }
    ends_.clear();
    sent_ = 0;
}

Result<void> LogBatch::send_stream(LogConnection& connection, const std::stop_token& stop) {
    return connection.send(bytes_, stop);
}

Result<void> LogBatch::send_datagrams(LogConnection& connection, const std::stop_token& stop) {
    while (sent_ < ends_.size()) {
        const std::size_t start = sent_ == 0 ? 0 : ends_[sent_ - 1];
        auto sent =
            connection.send(std::string_view(bytes_).substr(start, ends_[sent_] - start), stop);
        // A message that the other side can never take is not tried for ever.
        if (!sent.ok() && sent.error().error_number() != EMSGSIZE) {
            return sent;
        }
        ++sent_;
    }
    return ok();
}

Result<void> BatchDriver::connect(std::stop_token stop) {
    connection_ = TRY(LogConnection::open(address_, tls_, stop));
    connection_->limit_sends(send_limit_);
    return ok();
}

Result<void>
BatchDriver::deliver(LogConnection& connection, LogBatch& batch, const std::stop_token& stop) {
    return address_.is_datagram() ? batch.send_datagrams(connection, stop)
                                  : batch.send_stream(connection, stop);
}

Result<void> BatchDriver::send(std::stop_token stop) {
    if (connection_ && connection_->is_closed()) {
        connection_.reset();
    }
    if (!connection_) {
        TRY(connect(stop));
    }
    auto sent = deliver(*connection_, batch_, stop);
    if (!sent.ok()) {
        connection_.reset();
        return sent;
    }
    batch_.clear();
    return ok();
}

} // namespace berth::engine
