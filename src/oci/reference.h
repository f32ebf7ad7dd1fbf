// SPDX-License-Identifier: Apache-2.0
// Image references: "ubuntu", "localhost:5000/team/app:1.2@sha256:…", with Docker's normalization
// ("ubuntu" is docker.io/library/ubuntu) and Docker's error sentences.
#pragma once

#include "base/result.h"
#include "oci/digest.h"

#include <compare>
#include <string>
#include <string_view>

namespace berth::oci {

class Reference {
  public:
    // What a person types. No tag is added: see with_default_tag(). InvalidArgument with Docker's
    // words: "invalid reference format", "invalid reference format: repository name
    // (library/Foo) must be lowercase", "invalid repository name (<64 hex>), cannot specify
    // 64-byte hexadecimal strings", …
    static Result<Reference> parse_normalized(std::string_view text);

    const std::string& registry() const { return registry_; } // "docker.io"

    const std::string& path() const { return path_; } // "library/ubuntu"

    const std::string& tag() const { return tag_; } // "" when there is none

    const Digest& digest() const { return digest_; } // empty when there is none

    bool has_tag() const { return !tag_.empty(); }

    bool has_digest() const { return !digest_.empty(); }

    bool is_name_only() const { return !has_tag() && !has_digest(); }

    // "docker.io/library/ubuntu"
    std::string name() const { return registry_ + "/" + path_; }

    // "docker.io/library/ubuntu:24.04@sha256:…"
    std::string to_string() const;

    // "ubuntu", "localhost:5000/app": the name as people write it.
    std::string familiar_name() const;
    // "ubuntu:24.04", "ubuntu@sha256:…"
    std::string familiar() const;

    // ":latest" where there is neither tag nor digest.
    Reference with_default_tag() const;
    // InvalidArgument ("invalid tag format") for a tag that is none; digest and old tag go.
    Result<Reference> with_tag(std::string_view tag) const;
    // Keeps the tag.
    Reference with_digest(Digest digest) const;
    Reference without_tag_and_digest() const;

    auto operator<=>(const Reference&) const = default;

  private:
    Reference() = default;

    std::string registry_;
    std::string path_;
    std::string tag_;
    Digest digest_;
};

// [\w][\w.-]{0,127}
bool is_valid_tag(std::string_view tag);

} // namespace berth::oci
