// SPDX-License-Identifier: Apache-2.0
// The Authorization header for one repository of one registry, got as the registry's challenge
// asks: basic, or a bearer token from its token server
// (https://distribution.github.io/distribution/spec/auth/token/). Internal to this library.
#pragma once

#include "base/synchronized.h"
#include "registry/address.h"
#include "registry/challenge.h"
#include "registry/client.h"
#include "registry/transport.h"

#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::registry {

// Thread-safe.
class Authorizer {
  public:
    Authorizer(Transport& transport, Credentials credentials)
        : transport_(transport)
        , credentials_(std::move(credentials)) {}

    // What the registry answered 401 with.
    void set_challenges(std::vector<Challenge> challenges, const ApiBase& host);
    bool has_challenges() const;

    // The header's value for the scopes ("repository:x:pull", several separated by spaces), ""
    // when none is needed. Tokens are kept until they expire.
    Result<std::string> header(std::stop_token stop, const std::string& scope);
    // Forgets the tokens: the registry did not take one.
    void forget_tokens();
    // docker login: asks for a refresh token.
    Result<std::string> login(std::stop_token stop);

  private:
    using Clock = std::chrono::steady_clock;

    struct Token {
        std::string scope;
        std::string text;
        Clock::time_point expires;
    };

    struct State {
        std::vector<Challenge> challenges;
        ApiBase host;
        std::vector<Token> tokens;
    };

    // Whom to ask for a token, and on whose behalf.
    struct Question {
        Challenge bearer;
        ApiBase host;
    };

    struct Grant {
        std::string token;
        std::string refresh_token;
        std::chrono::seconds lifetime;
    };

    // What is known without asking the token server. nullopt: it is to be asked.
    std::optional<std::string> known_header(const std::string& scope, Question& question);
    Result<Grant> fetch(
        const std::stop_token& stop,
        const Challenge& challenge,
        const std::string& scope,
        const ApiBase& host);
    Outgoing token_request(const Challenge& challenge, const std::string& scope) const;
    Outgoing refresh_request(const Challenge& challenge, const std::string& scope) const;
    std::string basic() const;

    Transport& transport_;
    Credentials credentials_;
    Synchronized<State> state_;
    std::mutex fetching_; // several layers begin at once: one of them asks for the token
};

} // namespace berth::registry
