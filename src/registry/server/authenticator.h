// SPDX-License-Identifier: Apache-2.0
// Who may do what: by a password file, or by tokens of a token server.
#pragma once

#include "base/result.h"
#include "http/message.h"
#include "registry/server/error_code.h"
#include "registry/server/options.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace berth::registry {

// What a request is about to do: {"repository", "team/app", "pull"}.
struct Access {
    std::string type;
    std::string name;
    std::string action;

    bool operator==(const Access&) const = default;
};

struct Denial {
    ErrorCode code = ErrorCode::Unauthorized;
    std::string detail;
    std::string challenge; // WWW-Authenticate
};

// Thread-safe.
class Authenticator {
  public:
    Authenticator() = default;
    Authenticator(const Authenticator&) = delete;
    Authenticator& operator=(const Authenticator&) = delete;
    virtual ~Authenticator() = default;

    // nullopt: let it pass; `user` is filled where one is known. An error: it cannot be decided.
    virtual Result<std::optional<Denial>>
    check(const http::Request& request, std::span<const Access> wanted, std::string& user) = 0;
};

Result<std::unique_ptr<Authenticator>> make_htpasswd_authenticator(const HtpasswdOptions& options);
Result<std::unique_ptr<Authenticator>> make_token_authenticator(const TokenOptions& options);

} // namespace berth::registry
