// SPDX-License-Identifier: Apache-2.0
// A response owns its connection while its body is read and gives it back to the pool at the end.
#include "http/client.h"

#include "base/strings.h"
#include "base/synchronized.h"
#include "http/client_connection.h"
#include "http/message_reader.h"
#include "http/relay.h"
#include "http/socket_io.h"
#include "http/tls_client.h"

#include <array>
#include <utility>
#include <vector>

namespace berth::http {

namespace {

constexpr ParserLimits response_limits{1U << 20, 1024};
constexpr std::size_t idle_connections = 8;

bool may_repeat(const ClientRequest& request) {
    return request.method == "GET" || request.method == "HEAD";
}

bool wants_body(std::string_view method) {
    return method == "POST" || method == "PUT" || method == "PATCH";
}

// 100 Continue and its like: the answer is yet to come.
bool is_interim(unsigned status) {
    return status / 100 == 1 && status != 101;
}

std::string
head_text(const ClientRequest& request, const std::string& host, const std::string& agent) {
    std::string head = request.method + " " + request.target + " HTTP/1.1\r\n";
    head += "Host: " + host + "\r\n";
    if (!request.headers.contains("User-Agent")) {
        head += "User-Agent: " + agent + "\r\n";
    }
    for (const Headers::Field& field : request.headers) {
        head += field.name + ": " + field.value + "\r\n";
    }
    if (request.body_source == nullptr) {
        if (!request.body.empty() || wants_body(request.method)) {
            head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
        }
    } else if (request.body_length) {
        head += "Content-Length: " + std::to_string(*request.body_length) + "\r\n";
    } else {
        head += "Transfer-Encoding: chunked\r\n";
    }
    return head + "\r\n";
}

bool is_clean(const ClientRequest& request) {
    auto clean = [](std::string_view text) {
        return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
    };
    if (!clean(request.method) || !clean(request.target) ||
        request.target.find(' ') != std::string::npos) {
        return false;
    }
    for (const Headers::Field& field : request.headers) {
        if (!clean(field.name) || !clean(field.value)) {
            return false;
        }
    }
    return true;
}

} // namespace

namespace {

// A connection, and what makes its bytes unreadable for others.
struct Link {
    UniqueFd fd;
    std::unique_ptr<TlsSession> tls;

    Wire wire() const { return Wire(fd, tls.get()); }
};

Error tls_error(const TlsClient& client, const TlsSession& session, const Endpoint& endpoint) {
    return Error(
        ErrorKind::Unavailable,
        "TLS with " + endpoint.to_string() + ": " + client.failure(session));
}

} // namespace

class Client::Pool : public std::enable_shared_from_this<Client::Pool> {
  public:
    Pool(Endpoint target, Options chosen)
        : endpoint(std::move(target))
        , options(std::move(chosen)) {}

    struct Sent {
        Link link;
        std::unique_ptr<MessageReader> reader;
    };

    Result<Response> request(const ClientRequest& request);
    Result<Sent> exchange(const ClientRequest& request);
    Result<Link> open();
    Result<Sent> exchange_on(Link link, const ClientRequest& request);
    Result<void> send_request(const Wire& wire, const ClientRequest& request);

    Link take_idle() {
        auto guard = idle.lock();
        while (!guard->empty()) {
            Link link = std::move(guard->back());
            guard->pop_back();
            // What TLS sends of its own accord looks like an answer: such a link is given up.
            if (is_still_open(link.fd)) {
                return link;
            }
        }
        return {};
    }

    void give_back(Link link) {
        auto guard = idle.lock();
        if (guard->size() < idle_connections) {
            guard->push_back(std::move(link));
        }
    }

    const Endpoint endpoint;
    const Options options;
    Synchronized<std::vector<Link>> idle;
    Relays relays; // of upgraded connections with TLS
};

namespace {

class ResponseBody final : public ByteSource {
  public:
    ResponseBody(
        std::shared_ptr<Client::Pool> pool, Link link, std::unique_ptr<MessageReader> reader)
        : pool_(std::move(pool))
        , link_(std::move(link))
        , reader_(std::move(reader)) {
        release_when_done();
    }

    Result<std::size_t> read(std::span<char> buffer) override {
        if (!reader_) {
            return std::size_t{0};
        }
        std::size_t count = TRY(reader_->read(buffer));
        release_when_done();
        return count;
    }

  private:
    void release_when_done() {
        if (!reader_->body_done()) {
            return;
        }
        bool reusable = reader_->head().keep_alive && reader_->take_leftover().empty();
        reader_ = nullptr;
        if (reusable) {
            pool_->give_back(std::move(link_));
        }
        link_ = Link();
    }

    std::shared_ptr<Client::Pool> pool_;
    Link link_;
    std::unique_ptr<MessageReader> reader_;
};

// Sends as one chunk each what the source gives.
Result<void> send_chunked(const Wire& wire, ByteSource& source) {
    std::vector<char> buffer(64U << 10);
    while (std::size_t count = TRY(source.read(buffer))) {
        std::string size;
        for (std::size_t left = count; left > 0; left >>= 4U) {
            size.insert(size.begin(), "0123456789abcdef"[left & 15U]);
        }
        size += "\r\n";
        std::array<iovec, 3> parts{
            as_iovec(size), as_iovec(std::string_view(buffer.data(), count)), as_iovec("\r\n")};
        TRY(send_parts(wire, parts, Milliseconds(0)));
    }
    return send_bytes(wire, "0\r\n\r\n", Milliseconds(0));
}

Result<void> send_counted(const Wire& wire, ByteSource& source, std::uint64_t length) {
    std::vector<char> buffer(64U << 10);
    while (length > 0) {
        std::size_t wanted = std::min<std::uint64_t>(buffer.size(), length);
        std::size_t count = TRY(source.read(std::span(buffer).first(wanted)));
        if (count == 0) {
            return Error(ErrorKind::DataLoss, "the request's body is shorter than announced");
        }
        TRY(send_bytes(wire, std::string_view(buffer.data(), count), Milliseconds(0)));
        length -= count;
    }
    return ok();
}

} // namespace

Result<void> Client::Pool::send_request(const Wire& wire, const ClientRequest& request) {
    std::string host = endpoint.kind == Endpoint::Kind::Unix
                           ? std::string("api.moby.localhost")
                           : endpoint.to_string().substr(sizeof("tcp://") - 1);
    std::string head = head_text(request, host, options.user_agent);
    std::string_view body = request.body_source == nullptr ? request.body : std::string_view();
    std::array<iovec, 2> parts{as_iovec(head), as_iovec(body)};
    TRY(send_parts(wire, parts, Milliseconds(0)));
    if (request.body_source == nullptr) {
        return ok();
    }
    return request.body_length ? send_counted(wire, *request.body_source, *request.body_length)
                               : send_chunked(wire, *request.body_source);
}

Result<Link> Client::Pool::open() {
    Link link;
    link.fd = TRY(open_connection(endpoint, options.connect_time));
    if (options.tls == nullptr || endpoint.kind != Endpoint::Kind::Tcp) {
        return link;
    }
    link.tls = TRY(options.tls->connect(link.fd, endpoint.host));
    while (!link.tls->established()) {
        switch (link.tls->handshake()) {
        case TlsSession::Step::Done:
            break;
        case TlsSession::Step::WantsRead:
            TRY(wait_readable(link.fd, options.connect_time));
            break;
        case TlsSession::Step::WantsWrite:
            TRY(wait_writable(link.fd, options.connect_time));
            break;
        case TlsSession::Step::Failed:
            return tls_error(*options.tls, *link.tls, endpoint);
        }
    }
    return link;
}

Result<Client::Pool::Sent> Client::Pool::exchange_on(Link link, const ClientRequest& request) {
    Wire wire = link.wire();
    if (request.answer_time.count() > 0) {
        wire.deadline = std::chrono::steady_clock::now() + request.answer_time;
    }
    auto sent = send_request(wire, request);
    if (!sent.ok() && sent.error().kind() != ErrorKind::Cancelled) {
        return std::move(sent).error();
    }
    // A server that refuses a body answers and hangs up before the body is sent: its answer says
    // more than our broken pipe.
    std::unique_ptr<MessageReader> reader;
    std::string buffered;
    do {
        reader = std::make_unique<MessageReader>(
            wire,
            std::exchange(buffered, {}),
            MessageReader::Options{
                .kind = MessageKind::Response, .limits = response_limits, .wait = {}});
        if (auto read = reader->read_head(); !read.ok()) {
            // A server that refuses a client's certificate says so where its answer would be.
            if (link.tls && !options.tls->failure(*link.tls).empty()) {
                return tls_error(*options.tls, *link.tls, endpoint);
            }
            Error error = sent.ok() ? std::move(read).error() : std::move(sent).error();
            return std::move(error).as(ErrorKind::DataLoss);
        }
        if (is_interim(reader->head().status)) {
            buffered = reader->take_leftover();
        }
    } while (is_interim(reader->head().status));
    unsigned status = reader->head().status;
    if (request.method == "HEAD" || status == 101 || status == 204 || status == 304) {
        reader->ignore_body();
    }
    return Sent{std::move(link), std::move(reader)};
}

Result<Client::Pool::Sent> Client::Pool::exchange(const ClientRequest& request) {
    if (!is_clean(request)) {
        return invalid_argument("a request's target or header has a line break or space in it");
    }
    if (Link link = take_idle(); link.fd) {
        auto answer = exchange_on(std::move(link), request);
        // The server may have closed the connection just when we used it again.
        if (answer.ok() || !may_repeat(request) || request.body_source != nullptr) {
            return answer;
        }
    }
    return exchange_on(TRY(open()), request);
}

Result<Response> Client::Pool::request(const ClientRequest& request) {
    Sent sent = TRY(exchange(request));
    Head& head = sent.reader->head();
    Response response;
    response.status = head.status;
    response.reason = std::move(head.reason);
    response.headers = std::move(head.headers);
    response.body = std::make_unique<ResponseBody>(
        shared_from_this(), std::move(sent.link), std::move(sent.reader));
    return response;
}

Result<std::string> Response::read_body(std::size_t limit) {
    return read_to_end(*body, limit);
}

Client::Client(Endpoint endpoint, Options options)
    : pool_(std::make_shared<Pool>(std::move(endpoint), std::move(options))) {}

Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(Endpoint endpoint, Options options) {
    Client client(std::move(endpoint), std::move(options));
    client.pool_->give_back(TRY(client.pool_->open()));
    return client;
}

const Endpoint& Client::endpoint() const {
    return pool_->endpoint;
}

Result<Response> Client::request(const ClientRequest& request) {
    return pool_->request(request);
}

Result<Response> Client::get(std::string target) {
    return request({.target = std::move(target)});
}

Result<Response> Client::post_json(std::string target, std::string json) {
    return request(
        {.method = "POST",
         .target = std::move(target),
         .headers = {{"Content-Type", "application/json"}},
         .body = std::move(json)});
}

Result<Upgraded> Client::upgrade(ClientRequest request, std::string_view protocol) {
    request.headers.set("Connection", "Upgrade");
    request.headers.set("Upgrade", std::string(protocol));
    Pool::Sent sent = TRY(pool_->exchange(request));
    Head& head = sent.reader->head();
    Upgraded upgraded;
    upgraded.response.status = head.status;
    upgraded.response.reason = head.reason;
    upgraded.response.headers = head.headers;
    bool raw = head.headers.get("Content-Type").starts_with("application/vnd.docker.");
    if (head.status == 101 || (head.status == 200 && raw && !head.chunked)) {
        upgraded.leftover = sent.reader->take_leftover();
        if (sent.link.tls) {
            RelayedConnection relayed;
            relayed.fd = std::move(sent.link.fd);
            relayed.tls = std::move(sent.link.tls);
            upgraded.connection = TRY(pool_->relays.start(std::move(relayed)));
        } else {
            TRY(set_blocking(sent.link.fd));
            upgraded.connection = std::move(sent.link.fd);
        }
        upgraded.response.body = std::make_unique<StringSource>("");
        return upgraded;
    }
    upgraded.response.body =
        std::make_unique<ResponseBody>(pool_, std::move(sent.link), std::move(sent.reader));
    return upgraded;
}

} // namespace berth::http
