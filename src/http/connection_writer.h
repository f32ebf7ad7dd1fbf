// SPDX-License-Identifier: Apache-2.0
// ResponseWriter over a connection that a worker has. Internal to this library.
#pragma once

#include "http/connection_loop.h"
#include "http/message_reader.h"
#include "http/relay.h"
#include "http/response_head.h"
#include "http/response_writer.h"

#include <memory>
#include <string_view>

namespace berth::http {

class ConnectionWriter final : public ResponseWriter {
  public:
    struct Setup {
        std::shared_ptr<Server::Loop> loop;
        ConnectionRef connection;
        MessageReader& reader;
        const Request& request;
        bool keep_alive;
    };

    explicit ConnectionWriter(Setup setup)
        : setup_(std::move(setup)) {}

    Result<void> respond(unsigned status, Headers headers, std::string_view body) override;
    Result<void> begin(unsigned status, Headers headers) override;
    Result<void> write(std::string_view bytes) override;
    Result<void> finish() override;
    Result<void> send_file(
        unsigned status,
        Headers headers,
        FdRef file,
        std::uint64_t offset,
        std::uint64_t length) override;
    Result<std::shared_ptr<Stream>>
    into_stream(unsigned status, Headers headers, StreamOptions options) override;
    Result<Hijacked> hijack() override;
    Result<UniqueFd> hijack_websocket(Websocket::Kind kind) override;

    bool begun() const override { return phase_ != Phase::Fresh; }

    // --- for the worker ---

    bool finished() const { return phase_ == Phase::Finished; }

    unsigned status() const { return status_; } // 0: none yet

    // The connection is a stream's or the handler's now.
    bool detached() const { return phase_ == Phase::Detached; }

    bool keep_alive() const { return setup_.keep_alive; }

    // Bodies longer than that are not read just to keep a connection.
    static constexpr std::uint64_t discard_limit = 256U << 10;

  private:
    enum class Phase : std::uint8_t { Fresh, Body, Finished, Detached };

    Result<void> start(const Headers& headers);
    Result<RelayedConnection> take();
    Result<std::string> start_body(unsigned status, const Headers& headers);
    Framing framing_of(unsigned status, const Headers& headers) const;
    std::string head_of(unsigned status, const Headers& headers, const Framing& framing) const;
    Result<void> send(std::span<iovec> parts);

    bool is_head() const { return setup_.request.method == "HEAD"; }

    Setup setup_;
    Phase phase_ = Phase::Fresh;
    unsigned status_ = 0;
    Framing framing_;
    std::uint64_t written_ = 0;
    bool no_body_ = false; // HEAD, 204, 304
    bool failed_ = false;
};

} // namespace berth::http
