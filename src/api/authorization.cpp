// SPDX-License-Identifier: Apache-2.0
// What plugins are told and when: after moby's pkg/authorization/authz.go and api.go, with two
// differences. A body that is JSON is told whole, whatever its size (CVE-2024-41110): the handler
// reads the bytes that the plugins have seen, and more than it would read is refused. And an answer
// is asked about before its first byte goes out, also where it is a stream or a connection that is
// taken over; such answers are told without a body.
#include "api/authorization.h"

#include "api/api_version.h"
#include "api/context.h"
#include "api/error_response.h"
#include "base/log.h"
#include "base/strings.h"
#include "codec/base64.h"
#include "codec/json.h"

#include <algorithm>
#include <utility>

namespace berth::api {

namespace {

constexpr std::uint64_t body_limit = 8U << 20; // as Context::json_body()
constexpr unsigned switching_protocols = 101;

bool is_json(const http::Headers& headers) {
    const std::string_view header = headers.get("Content-Type");
    const auto parts = cut(header, ";");
    return equals_ignoring_case(trim(parts ? parts->before : header), "application/json");
}

// Go's textproto.CanonicalMIMEHeaderKey: "content-type" becomes "Content-Type".
std::string canonical(std::string_view name) {
    std::string result = to_lower(name);
    bool begins = true;
    for (char& letter : result) {
        if (begins && letter >= 'a' && letter <= 'z') {
            letter = static_cast<char>(letter - 'a' + 'A');
        }
        begins = letter == '-';
    }
    return result;
}

// Without what is nobody's business, and without what Go takes out of a request's headers.
json::Object told_headers(const http::Headers& headers) {
    json::Object told;
    for (const http::Headers::Field& field : headers) {
        static constexpr std::string_view hidden[] = {
            "Authorization", "X-Registry-Config", "X-Registry-Auth", "Host", "Transfer-Encoding"};
        const bool is_hidden = std::ranges::any_of(hidden, [&field](std::string_view name) {
            return equals_ignoring_case(name, field.name);
        });
        if (!is_hidden) {
            told[canonical(field.name)] = field.value;
        }
    }
    return told;
}

json::Object describe(const http::Request& request) {
    json::Object document;
    if (const auto& tls = request.peer.tls; tls && !tls->certificates.empty()) {
        document["User"] = tls->common_name;
        document["UserAuthNMethod"] = "TLS";
        json::Array certificates;
        for (const std::string& pem : tls->certificates) {
            certificates.emplace_back(base64_encode(pem));
        }
        document["RequestPeerCertificates"] = std::move(certificates);
    }
    document["RequestMethod"] = request.method;
    document["RequestUri"] = request.target;
    document["RequestHeaders"] = told_headers(request.headers);
    return document;
}

// Whether all allow it: Forbidden in Docker's words, Internal for one that cannot say.
Result<void>
ask(const Authorization::Plugins& plugins, std::string_view method, const json::Object& document) {
    const std::string text = json::serialize(json::Value(document));
    for (const auto& plugin : plugins) {
        const auto verdict = plugin->ask(method, text);
        if (!verdict.ok()) {
            log::warn(
                "authorization plugin failed, request refused",
                {{"plugin", plugin->name()}, {"error", verdict.error().message()}});
            return internal_error(
                "plugin " + plugin->name() + " failed with error: " + verdict.error().message());
        }
        if (!verdict->allow) {
            return Error(
                ErrorKind::Forbidden,
                "authorization denied by plugin " + plugin->name() + ": " + verdict->message);
        }
    }
    return ok();
}

Result<void> refuse(http::ResponseWriter& response, const Error& error) {
    return response.respond(status_of(error.kind()), json_headers(), error_body(error.message()));
}

// Asks before anything goes out.
class AuthorizedResponse final : public http::ResponseWriter {
  public:
    AuthorizedResponse(
        http::ResponseWriter& response,
        const Authorization::Plugins& plugins,
        json::Object document)
        : response_(response)
        , plugins_(plugins)
        , document_(std::move(document)) {}

    Result<void> respond(unsigned status, http::Headers headers, std::string_view body) override {
        if (auto allowed = check(status, headers, body); !allowed.ok()) {
            return refuse(response_, allowed.error());
        }
        return response_.respond(status, std::move(headers), body);
    }

    Result<void> begin(unsigned status, http::Headers headers) override {
        TRY(check_or_refuse(status, headers));
        return response_.begin(status, std::move(headers));
    }

    Result<void> write(std::string_view bytes) override { return response_.write(bytes); }

    Result<void> finish() override { return response_.finish(); }

    Result<void> send_file(
        unsigned status,
        http::Headers headers,
        FdRef file,
        std::uint64_t offset,
        std::uint64_t length) override {
        TRY(check_or_refuse(status, headers));
        return response_.send_file(status, std::move(headers), file, offset, length);
    }

    Result<std::shared_ptr<http::Stream>>
    into_stream(unsigned status, http::Headers headers, http::StreamOptions options) override {
        TRY(check_or_refuse(status, headers));
        return response_.into_stream(status, std::move(headers), options);
    }

    Result<http::Hijacked> hijack() override {
        TRY(check_or_refuse(switching_protocols, {}));
        return response_.hijack();
    }

    Result<UniqueFd> hijack_websocket(http::Websocket::Kind kind) override {
        TRY(check_or_refuse(switching_protocols, {}));
        return response_.hijack_websocket(kind);
    }

    bool begun() const override { return response_.begun(); }

  private:
    Result<void> check(unsigned status, const http::Headers& headers, std::string_view body) {
        json::Object document = document_;
        document["ResponseStatusCode"] = status;
        document["ResponseHeaders"] = told_headers(headers);
        if (!body.empty() && is_json(headers)) {
            document["ResponseBody"] = base64_encode(body);
        }
        return ask(plugins_, "AuthZPlugin.AuthZRes", document);
    }

    // The error of one that was refused is for the handler, which has nothing to say any more.
    Result<void> check_or_refuse(unsigned status, const http::Headers& headers) {
        auto allowed = check(status, headers, {});
        if (!allowed.ok()) {
            TRY(refuse(response_, allowed.error()));
        }
        return allowed;
    }

    http::ResponseWriter& response_;
    const Authorization::Plugins& plugins_;
    const json::Object document_;
};

// The bytes of a JSON body, "" where there is none or where it is a secret (POST /auth).
Result<std::optional<std::string>> told_body(const http::Request& request, http::Body& body) {
    if (!is_json(request.headers) || split_version(request.path).path == "/auth") {
        return std::optional<std::string>();
    }
    return std::optional(TRY(body.read_all(body_limit)));
}

void serve(
    const Authorization::PluginsPtr& plugins,
    const http::Handler& next,
    std::stop_token stop,
    http::Request& request,
    http::Body& body,
    http::ResponseWriter& response) {
    const auto reject = [&](const Error& error, unsigned status) {
        if (auto sent = response.respond(status, json_headers(), error_body(error.message()));
            !sent.ok()) {
            log::debug("client went before its answer", {{"error", sent.error().message()}});
        }
    };
    json::Object document = describe(request);
    auto text = told_body(request, body);
    if (!text.ok()) {
        reject(text.error(), body.limit_passed() ? 413 : status_of(text.error().kind()));
        return;
    }
    if (*text && !(*text)->empty()) {
        document["RequestBody"] = base64_encode(**text);
    }
    if (auto allowed = ask(*plugins, "AuthZPlugin.AuthZReq", document); !allowed.ok()) {
        reject(allowed.error(), status_of(allowed.error().kind()));
        return;
    }
    AuthorizedResponse authorized(response, *plugins, std::move(document));
    if (!*text) {
        next(std::move(stop), request, body, authorized);
        return;
    }
    StringSource source(**text);
    http::Body seen(source, (*text)->size(), body_limit);
    next(std::move(stop), request, seen, authorized);
}

} // namespace

Result<Authorization::PluginsPtr> Authorization::find(const std::vector<std::string>& names) const {
    auto plugins = std::make_shared<Plugins>();
    for (const std::string& name : names) {
        const bool is_repeated = std::ranges::any_of(
            *plugins, [&name](const auto& plugin) { return plugin->name() == name; });
        if (is_repeated) {
            continue;
        }
        plugins->push_back(std::make_shared<engine::AuthorizationPlugin>(name, options_));
        TRY_CONTEXT(
            plugins->back()->check(), "error validating authorization plugin \"" + name + "\"");
    }
    return PluginsPtr(std::move(plugins));
}

http::Handler Authorization::guard(http::Handler next) const {
    return [this, next = std::move(next)](
               std::stop_token stop,
               http::Request& request,
               http::Body& body,
               http::ResponseWriter& response) {
        const PluginsPtr plugins = *plugins_.lock();
        if (plugins == nullptr || plugins->empty()) {
            next(std::move(stop), request, body, response);
        } else {
            serve(plugins, next, std::move(stop), request, body, response);
        }
    };
}

} // namespace berth::api
