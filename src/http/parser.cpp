// SPDX-License-Identifier: Apache-2.0
// The only translation unit that sees Boost.Beast.
#include "http/parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <cstring>

namespace berth::http {

namespace beast = boost::beast;
using beast::error_code;
using BeastText = beast::string_view;

namespace {

std::string to_string(BeastText text) {
    return std::string(text.data(), text.size());
}

// What the callbacks fill, the same for requests and responses.
struct Collected {
    Head head;
    ParserLimits limits;
    std::span<char> out;
    std::size_t produced = 0;
    bool header_seen = false;

    void add_field(BeastText name, BeastText value, error_code& error) {
        if (header_seen) {
            return; // a trailer
        }
        if (head.headers.size() >= limits.header_fields) {
            error = beast::http::error::header_limit;
            return;
        }
        head.headers.add(to_string(name), to_string(value));
    }

    // need_buffer stops the parser without breaking it.
    std::size_t take_body(BeastText body, error_code& error) {
        std::size_t count = std::min(body.size(), out.size());
        std::memcpy(out.data(), body.data(), count);
        out = out.subspan(count);
        produced += count;
        if (count < body.size()) {
            error = beast::http::error::need_buffer;
        }
        return count;
    }
};

template <bool is_request>
class Engine final : public beast::http::basic_parser<is_request> {
  public:
    explicit Engine(Collected& collected)
        : collected_(collected) {
        this->header_limit(static_cast<std::uint32_t>(
            std::min<std::size_t>(collected.limits.head_bytes, UINT32_MAX)));
        this->body_limit(boost::none); // http::Body has the limit
        this->eager(false);
    }

  private:
    void on_request_impl(
        beast::http::verb, BeastText method, BeastText target, int version, error_code&) override {
        collected_.head.method = to_string(method);
        collected_.head.target = to_string(target);
        collected_.head.minor_version = static_cast<std::uint8_t>(version % 10);
    }

    void on_response_impl(int code, BeastText reason, int version, error_code&) override {
        collected_.head.status = static_cast<unsigned>(code);
        collected_.head.reason = to_string(reason);
        collected_.head.minor_version = static_cast<std::uint8_t>(version % 10);
    }

    void
    on_field_impl(beast::http::field, BeastText name, BeastText value, error_code& error) override {
        collected_.add_field(name, value, error);
    }

    void on_header_impl(error_code&) override { collected_.header_seen = true; }

    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}

    std::size_t on_body_impl(BeastText body, error_code& error) override {
        return collected_.take_body(body, error);
    }

    void on_chunk_header_impl(std::uint64_t, BeastText, error_code&) override {}

    std::size_t on_chunk_body_impl(std::uint64_t, BeastText body, error_code& error) override {
        return collected_.take_body(body, error);
    }

    void on_finish_impl(error_code&) override {}

    Collected& collected_;
};

Error translate(const error_code& error, const ParserLimits& limits) {
    if (error == beast::http::error::header_limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            "the message's head passes the limit of " + std::to_string(limits.head_bytes) +
                " bytes or " + std::to_string(limits.header_fields) + " fields");
    }
    return invalid_argument("malformed HTTP message: " + error.message());
}

} // namespace

class Parser::Machine {
  public:
    explicit Machine(ParserLimits limits) { collected.limits = limits; }

    virtual ~Machine() = default;
    virtual Result<std::size_t> put(std::string_view bytes) = 0;
    virtual void finish_head() = 0;
    virtual bool is_done() const = 0;

    Collected collected;
};

namespace {

template <bool is_request>
class MachineOf final : public Parser::Machine {
  public:
    explicit MachineOf(ParserLimits limits)
        : Machine(limits)
        , engine_(collected) {}

    Result<std::size_t> put(std::string_view bytes) override {
        error_code error;
        std::size_t consumed =
            engine_.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
        if (error && error != beast::http::error::need_more &&
            error != beast::http::error::need_buffer) {
            return translate(error, collected.limits);
        }
        return consumed;
    }

    void finish_head() override {
        Head& head = collected.head;
        head.keep_alive = engine_.keep_alive();
        head.chunked = engine_.chunked();
        if (auto length = engine_.content_length()) {
            head.content_length = *length;
        }
        engine_.eager(true);
    }

    bool is_done() const override { return engine_.is_done(); }

  private:
    Engine<is_request> engine_;
};

} // namespace

Parser::Parser(MessageKind kind, ParserLimits limits) {
    if (kind == MessageKind::Request) {
        machine_ = std::make_unique<MachineOf<true>>(limits);
    } else {
        machine_ = std::make_unique<MachineOf<false>>(limits);
    }
}

Parser::~Parser() = default;

Result<std::size_t> Parser::parse_head(std::string_view bytes) {
    std::size_t consumed = TRY(machine_->put(bytes));
    if (head_done()) {
        machine_->finish_head();
        Head& parsed = head();
        // Beast takes a request with an unknown coding as one without a body: a way to smuggle.
        if (parsed.headers.contains("Transfer-Encoding") && !parsed.chunked) {
            return not_implemented(
                "transfer encoding \"" + std::string(parsed.headers.get("Transfer-Encoding")) +
                "\" is not supported");
        }
    }
    return consumed;
}

bool Parser::head_done() const {
    return machine_->collected.header_seen;
}

Head& Parser::head() {
    return machine_->collected.head;
}

const Head& Parser::head() const {
    return machine_->collected.head;
}

Result<Parser::Progress> Parser::parse_chunks(std::string_view bytes, std::span<char> out) {
    machine_->collected.out = out;
    machine_->collected.produced = 0;
    Progress progress;
    while (!chunks_done() && progress.consumed < bytes.size()) {
        std::size_t produced = machine_->collected.produced;
        std::size_t consumed = TRY(machine_->put(bytes.substr(progress.consumed)));
        progress.consumed += consumed;
        if (consumed == 0 && produced == machine_->collected.produced) {
            break;
        }
        if (machine_->collected.out.empty()) {
            break;
        }
    }
    progress.produced = machine_->collected.produced;
    return progress;
}

bool Parser::chunks_done() const {
    return machine_->is_done();
}

} // namespace berth::http
