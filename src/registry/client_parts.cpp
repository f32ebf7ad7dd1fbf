// SPDX-License-Identifier: Apache-2.0
// The ping tells which scheme works and how the registry wants to be asked.
#include "registry/client_parts.h"

#include "base/strings.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace berth::registry {

namespace {

constexpr std::chrono::seconds longest_wait{60}; // whatever Retry-After says

bool is_temporary(unsigned status) {
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

bool is_temporary(const Error& error) {
    return error.kind() == ErrorKind::Unavailable;
}

std::chrono::milliseconds wanted_wait(const Exchange& exchange, int failures) {
    auto seconds = parse_number<unsigned>(exchange.headers().get("Retry-After"));
    if (seconds.ok()) {
        return std::min<std::chrono::milliseconds>(std::chrono::seconds(*seconds), longest_wait);
    }
    return back_off(failures);
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
    return (*guard)->url + "/v2/" + repository + "/" + std::string(rest);
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
    Outgoing request{.url = candidate.url + "/v2/", .verify = candidate.verify};
    auto exchange = TRY(transport.send(stop, request));
    if (exchange->status() == 401) {
        authorizer.set_challenges(challenges_of(*exchange), candidate.verify);
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
    Result<void> outcome = ok();
    for (const ApiBase& candidate : api_bases(registry, options.insecure_registries)) {
        outcome = ping_base(stop, candidate);
        if (outcome.ok() || outcome.error().kind() == ErrorKind::Cancelled) {
            return outcome;
        }
    }
    return outcome;
}

Result<std::unique_ptr<Exchange>> Client::Parts::send_authorized(
    const std::stop_token& stop, Outgoing& request, const std::string& scopes) {
    VerifyTls verify = VerifyTls::Yes;
    bool ours = false;
    {
        auto guard = base.lock();
        verify = (*guard)->verify;
        ours = origin_of(request.url) == origin_of((*guard)->url);
    }
    request.verify = verify;
    request.headers.remove("Authorization");
    // An upload may have been sent to another host: the token is not for it.
    if (ours) {
        if (std::string header = TRY(authorizer.header(stop, scopes)); !header.empty()) {
            request.headers.add("Authorization", std::move(header));
        }
    }
    return transport.send(stop, request);
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
        } else if ((*exchange)->status() == 401 && !asked_again && request.content == nullptr) {
            // The token expired, or this resource wants more than /v2/ did.
            asked_again = true;
            auto challenges = challenges_of(**exchange);
            if (!challenges.empty()) {
                authorizer.set_challenges(std::move(challenges), request.verify);
            }
            authorizer.forget_tokens();
            continue;
        } else if (last || !is_temporary((*exchange)->status())) {
            return exchange;
        } else {
            pause = wanted_wait(**exchange, failures);
        }
        TRY(wait_for(stop, pause));
    }
}

} // namespace berth::registry
