// SPDX-License-Identifier: Apache-2.0
// The ping tells which scheme works and how the registry wants to be asked.
#include "registry/client_parts.h"

#include "base/strings.h"
#include "http/query.h"
#include "registry/curl_failure.h"

#include <algorithm>
#include <condition_variable>
#include <ctime>
#include <mutex>

namespace berth::registry {

namespace {

constexpr std::chrono::seconds longest_wait{60};  // a registry that asks for more is given up
constexpr std::chrono::seconds ping_patience{15}; // as docker's

bool is_temporary(unsigned status) {
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

bool is_temporary(const Error& error) {
    return error.kind() == ErrorKind::Unavailable;
}

// https://www.rfc-editor.org/rfc/rfc9110#field.retry-after: seconds or a date.
std::optional<std::chrono::seconds> retry_after(const Exchange& exchange) {
    std::string text(trim(exchange.headers().get("Retry-After")));
    if (auto seconds = parse_number<std::uint32_t>(text); seconds.ok()) {
        return std::chrono::seconds(*seconds);
    }
    std::tm parts{};
    const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (end == nullptr || *end != 0) {
        return std::nullopt;
    }
    auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    return std::chrono::seconds(std::max<std::time_t>(::timegm(&parts) - now, 0));
}

bool is_redirect(unsigned status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::vector<Challenge> challenges_of(const Exchange& exchange) {
    std::vector<Challenge> all;
    for (std::string_view header : exchange.headers().get_all("WWW-Authenticate")) {
        for (Challenge& challenge : parse_challenges(header)) {
            all.push_back(std::move(challenge));
        }
    }
    return all;
}

// "scheme://host:port"
std::string_view origin_of(std::string_view url) {
    std::size_t scheme = url.find("://");
    return scheme == std::string_view::npos ? std::string_view()
                                            : url.substr(0, url.find('/', scheme + 3));
}

} // namespace

Result<void> wait_for(std::stop_token stop, std::chrono::milliseconds time) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, time, [] { return false; });
    if (stop.stop_requested()) {
        return Error(ErrorKind::Cancelled, "context canceled");
    }
    return ok();
}

std::chrono::milliseconds back_off(int failures) {
    return std::chrono::milliseconds(500) * (1 << std::clamp(failures - 1, 0, 5));
}

ApiError read_error(Exchange& exchange) {
    auto body = exchange.read_body();
    return parse_api_error(exchange.status(), body.ok() ? *body : std::string());
}

std::string Client::Parts::url(std::string_view rest) const {
    auto guard = base.lock();
    VERIFY(guard->has_value());
    std::string url = (*guard)->api() + "/" + repository + "/" + std::string(rest);
    if (const std::string& name = (*guard)->namespace_of; !name.empty()) {
        url += (url.find('?') == std::string::npos ? "?ns=" : "&ns=") + http::percent_encode(name);
    }
    return url;
}

std::string Client::Parts::absolute(std::string_view location, std::string_view asked) const {
    if (location.find("://") != std::string_view::npos) {
        return std::string(location);
    }
    if (location.starts_with("/")) {
        return std::string(origin_of(asked)) + std::string(location);
    }
    std::string_view path = asked.substr(0, asked.find('?'));
    return std::string(path.substr(0, path.rfind('/') + 1)) + std::string(location);
}

std::string Client::Parts::scope() const {
    switch (action) {
    case Action::Pull:
        return "repository:" + repository + ":pull";
    case Action::Push:
        return "repository:" + repository + ":pull,push";
    }
    return {};
}

Result<void> Client::Parts::ping_base(const std::stop_token& stop, const ApiBase& candidate) {
    Outgoing request{
        .url = candidate.api() + "/",
        .headers = candidate.headers,
        .verify = candidate.verify,
        .tls = candidate.tls,
        .stalled = std::min(options.stalled, ping_patience)};
    auto exchange = TRY(transport.send(stop, request));
    if (exchange->status() == 401) {
        authorizer.set_challenges(challenges_of(*exchange), candidate);
    }
    if (exchange->status() >= 500) {
        return read_error(*exchange).to_error();
    }
    *base.lock() = candidate;
    return ok();
}

Result<void> Client::Parts::ping(const std::stop_token& stop) {
    if (base.lock()->has_value()) {
        return ok();
    }
    RegistryHost host =
        options.host ? *options.host : push_host(TRY(registry_hosts(registry, options.hosts)));
    Result<void> outcome = ok();
    for (const ApiBase& candidate : host.bases) {
        outcome = ping_base(stop, candidate);
        if (outcome.ok() || outcome.error().kind() == ErrorKind::Cancelled) {
            return outcome;
        }
    }
    return outcome;
}

bool Client::Parts::is_ours(std::string_view url) {
    return origin_of(url) == origin_of(base.lock()->value().url);
}

Result<std::unique_ptr<Exchange>> Client::Parts::send_authorized(
    const std::stop_token& stop, Outgoing request, const std::string& scopes) {
    ApiBase host = base.lock()->value();
    request.verify = host.verify;
    request.tls = host.tls;
    request.stalled = options.stalled;
    request.follow_redirects = false;
    const http::Headers headers = std::move(request.headers);
    const std::string first_url = request.url;
    for (int redirects = 0; redirects <= redirect_limit; ++redirects) {
        request.headers = headers;
        // An upload or a blob may lie at another host: the token is not for it.
        if (is_ours(request.url)) {
            for (const http::Headers::Field& field : host.headers) {
                request.headers.add(field.name, field.value);
            }
            if (std::string header = TRY(authorizer.header(stop, scopes)); !header.empty()) {
                request.headers.set("Authorization", std::move(header));
            }
        }
        auto exchange = TRY(transport.send(stop, request));
        std::string_view location = exchange->headers().get("Location");
        bool safe = request.method == "GET" || request.method == "HEAD";
        if (!is_redirect(exchange->status()) || location.empty() || !safe) {
            return exchange;
        }
        request.url = absolute(location, request.url);
    }
    return Error(
        ErrorKind::InvalidArgument,
        "Get \"" + first_url + "\": stopped after " + std::to_string(redirect_limit) +
            " redirects");
}

Result<std::unique_ptr<Exchange>>
Client::Parts::call(const std::stop_token& stop, Outgoing request, const std::string& scopes) {
    TRY(ping(stop));
    bool asked_again = false;
    int failures = 0;
    while (true) {
        auto exchange = send_authorized(stop, request, scopes);
        bool last = ++failures >= options.attempts || request.content != nullptr;
        std::chrono::milliseconds pause = back_off(failures);
        if (!exchange.ok()) {
            if (last || !is_temporary(exchange.error())) {
                return exchange;
            }
        } else if (
            (*exchange)->status() == 401 && !asked_again && request.content == nullptr &&
            is_ours((*exchange)->url())) {
            // The token expired, or this resource wants more than /v2/ did.
            asked_again = true;
            auto challenges = challenges_of(**exchange);
            if (!challenges.empty()) {
                authorizer.set_challenges(std::move(challenges), base.lock()->value());
            }
            authorizer.forget_tokens();
            continue;
        } else if (last || !is_temporary((*exchange)->status())) {
            return exchange;
        } else if (auto wanted = retry_after(**exchange)) {
            if (*wanted > longest_wait) {
                Error error = read_error(**exchange).to_error();
                return Error(
                    error.kind(),
                    error.message() + " (the registry asks to wait " +
                        std::to_string(wanted->count()) + " s)");
            }
            pause = *wanted;
        }
        TRY(wait_for(stop, pause));
    }
}

} // namespace berth::registry
