// SPDX-License-Identifier: Apache-2.0
// One request as a route's handler sees it: the engine, the API version, the query with Docker's
// reading of values, the JSON body and the answer.
#pragma once

#include "api/api_version.h"
#include "base/time.h"
#include "codec/json.h"
#include "engine/engine.h"
#include "engine/filters.h"
#include "http/message.h"
#include "http/response_writer.h"

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace berth::build {
class Builder;
}

namespace berth::api {

class BuildKit;
class StatsPublisher;

// What the routes work on; outlives every request.
struct Services {
    engine::Engine* engine = nullptr;
    build::Builder* builder = nullptr; // nullptr: no build routes
};

class Context {
  public:
    struct Parts {
        std::stop_token stop;
        const Services& services;
        StatsPublisher& stats;
        BuildKit& buildkit;
        http::Request& request;
        http::Body& body;
        http::ResponseWriter& response;
        ApiVersion version;
        std::string parameter; // of the path
    };

    explicit Context(Parts parts)
        : parts_(std::move(parts)) {}

    const std::stop_token& stop() const { return parts_.stop; }

    engine::Engine& engine() const { return *parts_.services.engine; }

    const Services& services() const { return parts_.services; }

    StatsPublisher& stats() const { return parts_.stats; }

    BuildKit& buildkit() const { return parts_.buildkit; }

    http::Request& request() const { return parts_.request; }

    http::Body& body() const { return parts_.body; }

    http::ResponseWriter& response() const { return parts_.response; }

    ApiVersion version() const { return parts_.version; }

    bool before(int minor) const { return parts_.version < ApiVersion{1, minor}; }

    const std::string& parameter() const { return parts_.parameter; }

    // ---- query ----

    std::string query(std::string_view name) const;
    bool flag(std::string_view name, bool fallback = false) const;

    // nullopt when absent or empty; InvalidArgument naming the parameter when it is no number.
    Result<std::optional<std::int64_t>> number(std::string_view name) const;

    // "h" or "w".
    Result<std::uint32_t> terminal_dimension(std::string_view name) const;

    // "seconds[.fraction]" since the epoch, or RFC 3339; absent, "" and "0" give nullopt.
    Result<std::optional<Timestamp>> timestamp(std::string_view name) const;

    // The parameter "filters" in either of its forms: {"label":["a"]} or {"label":{"a":true}}.
    Result<engine::Filters> filters() const;

    // ---- body ----

    // The body as a JSON document; nullopt without a body. InvalidArgument for another content
    // type than application/json and for what is no JSON.
    Result<std::optional<json::Value>> json_body() const;

    // The same decoded; the default T without a body.
    template <class T>
    Result<T> decode_body() const {
        T target{};
        if (auto document = TRY(json_body())) {
            if (auto decoded = json::decode_into(target, *document); !decoded.ok()) {
                return std::move(decoded).error().with_context("invalid JSON");
            }
        }
        return target;
    }

    // ---- answers ----

    Result<void> reply(unsigned status, const json::Value& document) const {
        return reply_with(status, document);
    }

    template <class T>
    Result<void> reply_with(unsigned status, const T& object) const {
        return reply_text(status, json::encode_text(object));
    }

    // A document's text.
    Result<void> reply_text(unsigned status, std::string document) const;

    // No body: 204, 201, 200.
    Result<void> reply_empty(unsigned status) const;

    // An empty body is read so that the connection can be taken over; more than a few bytes are
    // InvalidArgument.
    Result<void> discard_body() const;

  private:
    Parts parts_;
};

Result<engine::Filters> parse_filters(std::string_view text);
Result<Timestamp> parse_timestamp(std::string_view text);

inline http::Headers json_headers() {
    return http::Headers{{"Content-Type", "application/json"}};
}

} // namespace berth::api
