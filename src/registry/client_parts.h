// SPDX-License-Identifier: Apache-2.0
// What the operations of Client share: addressing, authorization and repetition. Internal.
#pragma once

#include "base/synchronized.h"
#include "registry/address.h"
#include "registry/api_error.h"
#include "registry/authorizer.h"
#include "registry/client.h"
#include "registry/transport.h"

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace berth::registry {

// Waits, or returns sooner with Cancelled.
Result<void> wait_for(std::stop_token stop, std::chrono::milliseconds time);

// 0.5 s, doubled with each failure, at most 16 s.
std::chrono::milliseconds back_off(int failures);

inline constexpr std::chrono::seconds longest_wait{60}; // a registry that asks for more is given up

// What the answer asks to wait.
std::optional<std::chrono::seconds> retry_after(const Exchange& exchange);
// The error, and that the registry asks to wait so long.
Error with_wait(const Error& error, std::chrono::seconds wait);
// How long to wait after a refusal: as the answer asks, or else as usual. An error when that is too
// long.
Result<std::chrono::milliseconds>
pause_before_next(Exchange& exchange, std::chrono::milliseconds usual);

struct Client::Parts {
    Parts(
        std::string registry_name, std::string repository_name, Action wanted, ClientOptions chosen)
        : registry(std::move(registry_name))
        , repository(std::move(repository_name))
        , action(wanted)
        , options(std::move(chosen))
        , transport(options.user_agent)
        , authorizer(transport, options.credentials) {}

    // "/v2/<repository>/<rest>" at the host; REQUIRES: ping() succeeded.
    std::string url(std::string_view rest) const;
    // A Location header, made absolute.
    std::string absolute(std::string_view location, std::string_view asked) const;
    std::string scope() const;

    Result<void> ping(const std::stop_token& stop);

    // With authorization; repeats what failed on the way (429, 5xx, network) and once after a 401.
    // A request with content is not repeated after a failure.
    Result<std::unique_ptr<Exchange>>
    call(const std::stop_token& stop, const Outgoing& request, const std::string& scopes);

    Result<std::unique_ptr<Exchange>> call(const std::stop_token& stop, const Outgoing& request) {
        return call(stop, request, scope());
    }

    const std::string registry;
    const std::string repository;
    const Action action;
    const ClientOptions options;
    Transport transport;
    Authorizer authorizer;
    Synchronized<std::optional<ApiBase>> base;

    // At the host itself, and not behind one of its redirects.
    bool is_ours(std::string_view url);

  private:
    Result<std::unique_ptr<Exchange>>
    send_authorized(const std::stop_token& stop, Outgoing request, const std::string& scopes);
    // Follows redirects; what is secret goes to the host itself only. No scopes: unauthorized.
    Result<std::unique_ptr<Exchange>> send_to(
        const std::stop_token& stop,
        const ApiBase& host,
        Outgoing request,
        const std::string* scopes);
    Result<void> ping_base(const std::stop_token& stop, const ApiBase& candidate);
};

// The error that a refused exchange stands for.
ApiError read_error(Exchange& exchange);

} // namespace berth::registry
