// SPDX-License-Identifier: Apache-2.0
// A content digest: "sha256:<64 lower-case hexadecimal digits>". A Digest object is always well
// formed; the default one is empty and stands for "none".
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <compare>
#include <string>
#include <string_view>

namespace berth::oci {

class Digest {
  public:
    Digest() = default;

    // sha256, sha384 or sha512; InvalidArgument in go-digest's words ("invalid checksum digest
    // format") for anything else.
    static Result<Digest> parse(std::string_view text);
    // 64 hexadecimal digits of a SHA-256.
    static Result<Digest> from_sha256_hex(std::string_view hex);
    // The SHA-256 of bytes.
    static Digest of(std::string_view bytes);

    bool empty() const { return text_.empty(); }

    std::string_view algorithm() const;
    std::string_view hex() const;

    const std::string& to_string() const { return text_; }

    // The first 12 hexadecimal digits, as Docker shows ids.
    std::string short_id() const { return std::string(hex().substr(0, 12)); }

    auto operator<=>(const Digest&) const = default;

  private:
    explicit Digest(std::string text)
        : text_(std::move(text)) {}

    std::string text_;
};

} // namespace berth::oci

template <>
struct berth::json::Codec<berth::oci::Digest> {
    static Result<oci::Digest> decode(const Value& value);
    static Value encode(const oci::Digest& digest);

    static bool is_empty(const oci::Digest& digest) { return digest.empty(); }
};
