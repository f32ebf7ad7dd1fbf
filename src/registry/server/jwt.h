// SPDX-License-Identifier: Apache-2.0
// JSON web tokens (RFC 7519), signed with RS256 or ES256 by a key that is trusted.
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

// Certificates whose keys sign tokens, and that sign the certificates of keys which do.
// Thread-safe.
class TrustedKeys {
  public:
    static Result<TrustedKeys> load(const std::string& pem_file);
    TrustedKeys(TrustedKeys&&) noexcept;
    TrustedKeys& operator=(TrustedKeys&&) noexcept;
    ~TrustedKeys();

    // The claims of a token whose signature is right; what they say is not checked yet.
    // Unauthorized says what is wrong.
    Result<json::Value> verify(std::string_view token) const;

    struct Store;

  private:
    explicit TrustedKeys(std::unique_ptr<Store> store);

    std::unique_ptr<Store> store_;
};

} // namespace berth::registry
