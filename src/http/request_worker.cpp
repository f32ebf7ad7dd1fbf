// SPDX-License-Identifier: Apache-2.0
// What a worker does with a connection: requests, one after the other, while more of them lie in
// the buffer; then the connection goes back to the loop.
#include "base/log.h"
#include "base/strings.h"
#include "http/connection_loop.h"
#include "http/connection_writer.h"
#include "http/message_reader.h"
#include "http/response_head.h"

#include <exception>
#include <optional>

#include <sys/epoll.h>

namespace berth::http {

namespace {

// RFC 9112, 3.2: origin form, absolute form, and the asterisk of OPTIONS.
Result<void> read_target(Request& request) {
    std::string_view target = request.target;
    if (target == "*" && request.method == "OPTIONS") {
        request.path = "*";
        return ok();
    }
    for (std::string_view scheme : {"http://", "https://"}) {
        if (target.starts_with(scheme)) {
            target.remove_prefix(scheme.size());
            std::size_t slash = target.find_first_of("/?");
            target = slash == std::string_view::npos ? "/" : target.substr(slash);
        }
    }
    target = target.substr(0, target.find('#'));
    std::size_t question = target.find('?');
    request.path = TRY(percent_decode(target.substr(0, question)));
    if (!request.path.starts_with("/") || request.path.find('\0') != std::string::npos) {
        return invalid_argument("malformed request target \"" + request.target + "\"");
    }
    if (question != std::string_view::npos) {
        request.query = TRY(Query::parse(target.substr(question + 1)));
    }
    return ok();
}

Result<Request> to_request(Head& head, const Peer& peer) {
    Request request;
    request.method = std::move(head.method);
    request.target = std::move(head.target);
    request.headers = std::move(head.headers);
    request.minor_version = head.minor_version;
    request.peer = peer;
    if (head.minor_version > 0 && request.headers.get_all("Host").size() != 1) {
        return invalid_argument("exactly one Host header is required");
    }
    TRY(read_target(request));
    return request;
}

unsigned status_of(ErrorKind kind) {
    switch (kind) {
    case ErrorKind::ResourceExhausted:
        return 431;
    case ErrorKind::NotImplemented:
        return 501;
    case ErrorKind::InvalidArgument:
    case ErrorKind::Unauthorized:
    case ErrorKind::Forbidden:
    case ErrorKind::NotFound:
    case ErrorKind::Conflict:
    case ErrorKind::NotModified:
    case ErrorKind::Unavailable:
    case ErrorKind::Cancelled:
    case ErrorKind::DeadlineExceeded:
    case ErrorKind::DataLoss:
    case ErrorKind::Internal:
        return 400;
    }
    return 400;
}

class Worker {
  public:
    Worker(const std::shared_ptr<Server::Loop>& loop, const ConnectionRef& connection)
        : loop_(loop)
        , connection_(connection)
        , options_(loop->options()) {}

    // The bytes behind the request, or nullopt when the connection is no longer ours.
    std::optional<std::string> serve_one(std::string input, const std::stop_token& stop);

  private:
    std::optional<std::string> refuse(unsigned status, std::string_view message);
    void run_handler(
        const std::stop_token& stop, Request& request, Body& body, ConnectionWriter& writer);
    std::optional<std::string>
    conclude(MessageReader& reader, ConnectionWriter& writer, bool limit_passed);

    const std::shared_ptr<Server::Loop>& loop_;
    const ConnectionRef& connection_;
    const ServerOptions& options_;
    bool continue_pending_ = false;
};

std::optional<std::string> Worker::refuse(unsigned status, std::string_view message) {
    // A client that does not read its error is not worth a worker's time.
    constexpr Milliseconds patience{1000};
    auto sent =
        send_bytes(connection_->wire(), error_response(options_, status, message), patience);
    if (sent.ok()) {
        loop_->close_gently(connection_);
    } else {
        loop_->close(connection_);
    }
    return std::nullopt;
}

void Worker::run_handler(
    const std::stop_token& stop, Request& request, Body& body, ConnectionWriter& writer) {
    try {
        options_.handler(stop, request, body, writer);
    } catch (const std::exception& exception) {
        log::error(
            "a request handler threw", {{"target", request.target}, {"error", exception.what()}});
    } catch (...) {
        log::error("a request handler threw", {{"target", request.target}});
    }
}

std::optional<std::string>
Worker::conclude(MessageReader& reader, ConnectionWriter& writer, bool limit_passed) {
    if (writer.detached()) {
        return std::nullopt;
    }
    if (!writer.begun()) {
        return limit_passed ? refuse(413, "the request body is larger than the limit")
                            : refuse(500, "the request was not answered");
    }
    if (!writer.finished()) {
        loop_->close(connection_); // the client must see that the answer is incomplete
        return std::nullopt;
    }
    // A client that was not told to go on may or may not send its body: nobody knows what comes.
    bool drained = !continue_pending_ && writer.keep_alive() &&
                   reader.discard_body(ConnectionWriter::discard_limit);
    if (!drained && !reader.body_done()) {
        loop_->close_gently(connection_);
        return std::nullopt;
    }
    std::string leftover = reader.take_leftover();
    if (!writer.keep_alive() || continue_pending_) {
        if (leftover.empty()) {
            loop_->close(connection_);
        } else {
            loop_->close_gently(connection_);
        }
        return std::nullopt;
    }
    return leftover;
}

std::optional<std::string> Worker::serve_one(std::string input, const std::stop_token& stop) {
    const Limits& limits = options_.limits;
    MessageReader reader(
        connection_->wire(),
        std::move(input),
        {.kind = MessageKind::Request,
         .limits = {limits.head_bytes, limits.header_fields},
         .wait = limits.transfer_time});
    if (auto read = reader.read_head(); !read.ok()) {
        return refuse(status_of(read.error().kind()), read.error().message());
    }
    bool keep_alive = reader.head().keep_alive;
    auto request = to_request(reader.head(), connection_->peer);
    if (!request.ok()) {
        return refuse(400, request.error().message());
    }
    std::string_view expected = request->headers.get("Expect");
    if (!expected.empty() && !equals_ignoring_case(expected, "100-continue")) {
        return refuse(417, "unknown expectation");
    }
    if (!expected.empty() && request->minor_version > 0 && !reader.body_done()) {
        continue_pending_ = true;
        reader.before_waiting([this, &limits] {
            continue_pending_ = false;
            return send_bytes(
                connection_->wire(), "HTTP/1.1 100 Continue\r\n\r\n", limits.transfer_time);
        });
    }
    Body body(reader, reader.body_length(), limits.body_bytes);
    ConnectionWriter writer(ConnectionWriter::Setup{
        .loop = loop_,
        .connection = connection_,
        .reader = reader,
        .request = *request,
        .keep_alive = keep_alive});
    const auto begun = std::chrono::steady_clock::now();
    run_handler(stop, *request, body, writer);
    if (options_.answered) {
        options_.answered(
            {.method = request->method,
             .status = writer.status(),
             .duration = std::chrono::steady_clock::now() - begun});
    }
    return conclude(reader, writer, body.limit_passed());
}

} // namespace

void serve(const std::shared_ptr<Server::Loop>& loop, const ConnectionRef& connection) {
    std::string input;
    std::stop_token stop;
    {
        std::lock_guard lock(connection->mutex);
        input = loop->take_input(*connection);
        stop = connection->stop.get_token();
    }
    while (!loop->stopping()) {
        auto leftover = Worker(loop, connection).serve_one(std::move(input), stop);
        if (!leftover) {
            loop->handler_ended(connection);
            return;
        }
        drop_empty_lines(*leftover);
        if (!may_be_served(*leftover, loop->options().limits)) {
            loop->resume(connection, std::move(*leftover));
            return;
        }
        input = std::move(*leftover);
        stop = loop->next_request(connection);
    }
    loop->close(connection);
}

} // namespace berth::http
