// SPDX-License-Identifier: Apache-2.0
// Head and body leave in one sendmsg where both are known.
#include "http/connection_writer.h"

#include "base/strings.h"
#include "http/connection_stream.h"
#include "http/socket_io.h"

#include <array>
#include <charconv>
#include <utility>

namespace berth::http {

namespace {

bool has_no_body(unsigned status) {
    return status < 200 || status == 204 || status == 304;
}

} // namespace

Result<void> ConnectionWriter::start(const Headers& headers) {
    if (phase_ != Phase::Fresh) {
        return internal_error("a response was begun twice");
    }
    if (headers.has_token("Connection", "close") || setup_.loop->stopping()) {
        setup_.keep_alive = false;
    }
    return ok();
}

Framing ConnectionWriter::framing_of(unsigned status, const Headers& headers) const {
    Framing framing{.keep_alive = setup_.keep_alive, .minor_version = setup_.request.minor_version};
    auto length = parse_number<std::uint64_t>(headers.get("Content-Length"));
    if (has_no_body(status)) {
        framing.kind = Framing::Kind::None;
    } else if (length.ok()) {
        framing.kind = Framing::Kind::Length;
        framing.length = *length;
    } else if (setup_.request.minor_version == 0) {
        framing.kind = Framing::Kind::Close;
        framing.keep_alive = false;
    } else {
        framing.kind = Framing::Kind::Chunked;
    }
    return framing;
}

std::string
ConnectionWriter::head_of(unsigned status, const Headers& headers, const Framing& framing) const {
    return response_head(setup_.loop->options(), status, headers, framing);
}

Result<void> ConnectionWriter::send(std::span<iovec> parts) {
    auto sent =
        send_parts(setup_.connection->wire(), parts, setup_.loop->options().limits.transfer_time);
    failed_ = failed_ || !sent.ok();
    return sent;
}

Result<void> ConnectionWriter::respond(unsigned status, Headers headers, std::string_view body) {
    TRY(start(headers));
    status_ = status;
    Framing framing{
        .kind = has_no_body(status) ? Framing::Kind::None : Framing::Kind::Length,
        .length = body.size(),
        .keep_alive = setup_.keep_alive,
        .minor_version = setup_.request.minor_version};
    phase_ = Phase::Body;
    std::string head = head_of(status, headers, framing);
    bool with_body = !is_head() && !has_no_body(status);
    std::array<iovec, 2> parts{as_iovec(head), as_iovec(with_body ? body : std::string_view())};
    TRY(send(parts));
    phase_ = Phase::Finished;
    return ok();
}

// The head of a response that is begun here.
Result<std::string> ConnectionWriter::start_body(unsigned status, const Headers& headers) {
    TRY(start(headers));
    status_ = status;
    framing_ = framing_of(status, headers);
    setup_.keep_alive = framing_.keep_alive;
    no_body_ = is_head() || has_no_body(status);
    phase_ = Phase::Body;
    return head_of(status, headers, framing_);
}

Result<void> ConnectionWriter::begin(unsigned status, Headers headers) {
    std::string head = TRY(start_body(status, headers));
    iovec part = as_iovec(head);
    return send(std::span(&part, 1));
}

Result<void> ConnectionWriter::write(std::string_view bytes) {
    if (phase_ != Phase::Body || failed_) {
        return failed_ ? Error(ErrorKind::Cancelled, "the client is gone")
                       : internal_error("a body was written outside of a response");
    }
    if (bytes.empty() || no_body_) {
        return ok(); // an empty chunk would end the body
    }
    if (framing_.kind == Framing::Kind::Chunked) {
        std::array<char, 20> text{};
        char* end = std::to_chars(text.data(), text.data() + text.size() - 2, bytes.size(), 16).ptr;
        *end++ = '\r';
        *end++ = '\n';
        std::string_view size(text.data(), static_cast<std::size_t>(end - text.data()));
        std::array<iovec, 3> parts{as_iovec(size), as_iovec(bytes), as_iovec("\r\n")};
        return send(parts);
    }
    written_ += bytes.size();
    if (framing_.kind == Framing::Kind::Length && written_ > framing_.length) {
        failed_ = true;
        return internal_error("a body is longer than its Content-Length");
    }
    iovec part = as_iovec(bytes);
    return send(std::span(&part, 1));
}

Result<void> ConnectionWriter::finish() {
    if (phase_ != Phase::Body || failed_) {
        return failed_ ? Error(ErrorKind::Cancelled, "the client is gone")
                       : internal_error("a response was finished that was not begun");
    }
    if (!no_body_ && framing_.kind == Framing::Kind::Chunked) {
        iovec part = as_iovec("0\r\n\r\n");
        TRY(send(std::span(&part, 1)));
    }
    if (!no_body_ && framing_.kind == Framing::Kind::Length && written_ < framing_.length) {
        return internal_error("a body is shorter than its Content-Length");
    }
    phase_ = Phase::Finished;
    return ok();
}

Result<void> ConnectionWriter::send_file(
    unsigned status, Headers headers, FdRef file, std::uint64_t offset, std::uint64_t length) {
    headers.set("Content-Length", std::to_string(length));
    std::string head = TRY(start_body(status, headers));
    auto sent = send_from_file(
        setup_.connection->wire(),
        head,
        {.file = file, .offset = offset, .length = no_body_ ? 0 : length},
        setup_.loop->options().limits.transfer_time);
    failed_ = !sent.ok();
    TRY(std::move(sent));
    written_ = length;
    return finish();
}

Result<std::shared_ptr<Stream>>
ConnectionWriter::into_stream(unsigned status, Headers headers, StreamOptions options) {
    TRY(start(headers));
    bool drained = setup_.reader.discard_body(discard_limit);
    setup_.keep_alive = setup_.keep_alive && drained;
    headers.remove("Content-Length");
    TRY(begin(status, std::move(headers)));
    phase_ = Phase::Detached;
    auto stream = std::make_shared<ConnectionStream>(
        setup_.loop,
        setup_.connection,
        ConnectionStream::Setup{
            .chunked = framing_.kind == Framing::Kind::Chunked,
            .keep_alive = setup_.keep_alive,
            .discard = no_body_,
            .leftover = setup_.reader.take_leftover(),
            .options = options});
    setup_.loop->begin_streaming(setup_.connection, stream);
    return std::shared_ptr<Stream>(std::move(stream));
}

// The connection, out of the loop, with what followed the request.
Result<RelayedConnection> ConnectionWriter::take() {
    TRY(start({}));
    if (!setup_.reader.discard_body(discard_limit)) {
        return internal_error("a connection was taken over with an unread body");
    }
    phase_ = Phase::Detached;
    status_ = 101;
    RelayedConnection taken;
    taken.fd = setup_.loop->take(setup_.connection);
    taken.tls = std::move(setup_.connection->tls);
    taken.received = setup_.reader.take_leftover();
    return taken;
}

Result<Hijacked> ConnectionWriter::hijack() {
    RelayedConnection taken = TRY(take());
    std::string leftover = std::exchange(taken.received, {});
    if (!taken.tls) {
        return Hijacked{std::move(taken.fd), std::move(leftover)};
    }
    UniqueFd end = TRY(setup_.loop->relays().start(std::move(taken)));
    TRY(io::set_nonblocking(end));
    return Hijacked{std::move(end), std::move(leftover)};
}

Result<UniqueFd> ConnectionWriter::hijack_websocket(Websocket::Kind kind) {
    std::string head = TRY(websocket_response(setup_.request));
    RelayedConnection taken = TRY(take());
    taken.to_send = std::move(head);
    taken.websocket.emplace(kind);
    return setup_.loop->relays().start(std::move(taken));
}

} // namespace berth::http
