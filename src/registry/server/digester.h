// SPDX-License-Identifier: Apache-2.0
// A digest of what passes by, in any algorithm that the registry takes: sha256 and sha512.
#pragma once

#include "base/result.h"
#include "oci/digest.h"

#include <memory>
#include <string>
#include <string_view>

namespace berth::registry {

class Digester {
  public:
    // NotImplemented for an algorithm that is not taken.
    static Result<Digester> create(std::string_view algorithm);

    const std::string& algorithm() const { return algorithm_; }

    void update(std::string_view bytes);
    // Ends the computation.
    oci::Digest finish();

  private:
    struct FreeContext {
        void operator()(void* context) const;
    };

    Digester() = default;

    std::string algorithm_;
    std::unique_ptr<void, FreeContext> context_;
};

// Well formed, and of an algorithm that is taken.
Result<oci::Digest> parse_blob_digest(std::string_view text);
// REQUIRES: an algorithm that is taken.
oci::Digest digest_of(std::string_view algorithm, std::string_view bytes);

} // namespace berth::registry
