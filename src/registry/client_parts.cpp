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

constexpr std::chrono::seconds ping_patience{15}; // as docker's

bool is_temporary(unsigned status) {
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

// What a request fails with before it has an answer: the network's error, or a token server's,
// which may be too busy (429).
bool is_temporary(const Error& error) {
    return error.kind() == ErrorKind::Unavailable || error.kind() == ErrorKind::ResourceExhausted;
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

// "scheme://host:port" as it is written.
std::string_view root_of(std::string_view url) {
    std::size_t scheme = url.find("://");
    return scheme == std::string_view::npos ? std::string_view()
                                            : url.substr(0, url.find('/', scheme + 3));
}

// So that the connection can be used again.
void drop_body(Exchange& exchange) {
    constexpr std::size_t short_enough = 64U << 10;
    [[maybe_unused]] auto body = exchange.read_body(short_enough);
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

Error with_wait(const Error& error, std::chrono::seconds wait) {
    return Error(
        error.kind(),
        error.message() + " (the registry asks to wait " + std::to_string(wait.count()) + " s)");
}

Result<std::chrono::milliseconds>
pause_before_next(Exchange& exchange, std::chrono::milliseconds usual) {
    std::optional<std::chrono::seconds> wanted = retry_after(exchange);
    if (wanted && *wanted > longest_wait) {
        return with_wait(read_error(exchange).to_error(), *wanted);
    }
    return wanted ? *wanted : usual;
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
        return std::string(root_of(asked)) + std::string(location);
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
        .url = candidate.api() + "/", .stalled = std::min(options.stalled, ping_patience)};
    auto exchange = TRY(send_to(stop, candidate, std::move(request), nullptr));
    if (exchange->status() == 401) {
        authorizer.set_challenges(challenges_of(*exchange), candidate);
    }
    if (exchange->status() >= 500) {
        return read_error(*exchange).to_error();
    }
    drop_body(*exchange);
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
    std::string origin = origin_of(url);
    return !origin.empty() && origin == origin_of(base.lock()->value().url);
}

Result<std::unique_ptr<Exchange>> Client::Parts::send_authorized(
    const std::stop_token& stop, Outgoing request, const std::string& scopes) {
    request.stalled = options.stalled;
    return send_to(stop, base.lock()->value(), std::move(request), &scopes);
}

Result<std::unique_ptr<Exchange>> Client::Parts::send_to(
    const std::stop_token& stop, const ApiBase& host, Outgoing request, const std::string* scopes) {
    request.verify = host.verify;
    request.follow_redirects = false;
    const http::Headers headers = std::move(request.headers);
    const std::string first_url = request.url;
    const std::string origin = origin_of(host.url);
    for (int redirects = 0; redirects <= redirect_limit; ++redirects) {
        request.headers = headers;
        request.tls = host.tls;
        // An upload or a blob may lie at another host: what is secret is not for it.
        if (origin_of(request.url) == origin) {
            for (const http::Headers::Field& field : host.headers) {
                request.headers.add(field.name, field.value);
            }
            std::string header =
                scopes != nullptr ? TRY(authorizer.header(stop, *scopes)) : std::string();
            if (!header.empty()) {
                request.headers.set("Authorization", std::move(header));
            }
        } else if (host.tls && !host.tls->certificate_file.empty()) {
            auto authorities = std::make_shared<TlsMaterial>();
            authorities->authorities = host.tls->authorities;
            request.tls = std::move(authorities);
        }
        auto exchange = TRY(transport.send(stop, request));
        std::string_view location = exchange->headers().get("Location");
        bool safe = request.method == "GET" || request.method == "HEAD";
        bool same_again = (exchange->status() == 307 || exchange->status() == 308) &&
                          request.content == nullptr && request.body.empty();
        if (!is_redirect(exchange->status()) || location.empty() || (!safe && !same_again)) {
            return exchange;
        }
        request.url = absolute(location, request.url);
        drop_body(*exchange);
    }
    return Error(
        ErrorKind::InvalidArgument,
        "Get \"" + first_url + "\": stopped after " + std::to_string(redirect_limit) +
            " redirects");
}

Result<std::unique_ptr<Exchange>> Client::Parts::call(
    const std::stop_token& stop, const Outgoing& request, const std::string& scopes) {
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
            drop_body(**exchange);
            continue;
        } else if (last || !is_temporary((*exchange)->status())) {
            return exchange;
        } else {
            pause = TRY(pause_before_next(**exchange, pause));
        }
        TRY(wait_for(stop, pause));
    }
}

} // namespace berth::registry
