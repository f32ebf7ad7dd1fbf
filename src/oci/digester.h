// SPDX-License-Identifier: Apache-2.0
// A digest of what passes by, in any algorithm that is taken: sha256 and sha512.
#pragma once

#include "base/result.h"
#include "oci/digest.h"

#include <memory>
#include <string>
#include <string_view>

namespace berth::oci {

class Digester {
  public:
    // NotImplemented for an algorithm that is not taken.
    static Result<Digester> create(std::string_view algorithm);

    const std::string& algorithm() const { return algorithm_; }

    void update(std::string_view bytes);
    // Ends the computation.
    Digest finish();

  private:
    struct FreeContext {
        void operator()(void* context) const;
    };

    Digester() = default;

    std::string algorithm_;
    std::unique_ptr<void, FreeContext> context_;
};

// Those that are taken.
inline constexpr const char* blob_algorithms[] = {"sha256", "sha512"};

// NotImplemented when its algorithm is not taken.
Result<void> require_blob_digest(const Digest& digest);
// Well formed, and of an algorithm that is taken.
Result<Digest> parse_blob_digest(std::string_view text);
// REQUIRES: an algorithm that is taken.
Digest digest_of(std::string_view algorithm, std::string_view bytes);

} // namespace berth::oci
