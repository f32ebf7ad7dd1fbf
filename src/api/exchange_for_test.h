// SPDX-License-Identifier: Apache-2.0
// A request and its answer without a socket, for tests of handlers.
#pragma once

#include "api/router.h"

#include <string>
#include <string_view>

namespace berth::api {

// Records what a handler answers. Streams and hijacking need a server.
class RecordedResponse : public http::ResponseWriter {
  public:
    Result<void> respond(unsigned code, http::Headers fields, std::string_view text) override {
        TRY(begin(code, std::move(fields)));
        return write(text);
    }

    Result<void> begin(unsigned code, http::Headers fields) override {
        VERIFY(!begun_);
        begun_ = true;
        status = code;
        headers = std::move(fields);
        return ok();
    }

    Result<void> write(std::string_view bytes) override {
        body += bytes;
        return ok();
    }

    Result<void> finish() override { return ok(); }

    Result<void> send_file(unsigned, http::Headers, FdRef, std::uint64_t, std::uint64_t) override {
        return not_implemented("files in tests");
    }

    Result<std::shared_ptr<http::Stream>>
    into_stream(unsigned, http::Headers, http::StreamOptions) override {
        return not_implemented("streams in tests");
    }

    Result<http::Hijacked> hijack() override { return not_implemented("hijacking in tests"); }

    bool begun() const override { return begun_; }

    unsigned status = 0;
    http::Headers headers;
    std::string body;

  private:
    bool begun_ = false;
};

struct TestRequest {
    std::string method = "GET";
    std::string path;
    std::string query;
    std::string body;
    std::string content_type;
};

// Through the whole router; without an engine, so only what needs none can succeed.
inline std::unique_ptr<RecordedResponse> exchange(const TestRequest& test) {
    static const Services services;
    static const http::Handler handler = make_handler(services);
    http::Request request;
    request.method = test.method;
    request.path = test.path;
    auto query = http::Query::parse(test.query);
    VERIFY(query.ok());
    request.query = std::move(query).value();
    if (!test.content_type.empty()) {
        request.headers.set("Content-Type", test.content_type);
    }
    StringSource source(test.body);
    http::Body body(source, test.body.size(), 1U << 20);
    auto response = std::make_unique<RecordedResponse>();
    handler({}, request, body, *response);
    return response;
}

} // namespace berth::api
