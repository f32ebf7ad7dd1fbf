// SPDX-License-Identifier: Apache-2.0
// Digests: exact length, lower case.
#include "oci/digest.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::oci {

namespace {

std::size_t digits_of(std::string_view algorithm) {
    if (algorithm == "sha256") {
        return 64;
    }
    if (algorithm == "sha384") {
        return 96;
    }
    return algorithm == "sha512" ? 128 : 0;
}

bool is_lower_hex(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    });
}

} // namespace

// https://github.com/opencontainers/go-digest: its three errors, in its words.
Result<Digest> Digest::parse(std::string_view text) {
    const auto parts = cut(text, ":");
    if (!parts || parts->before.empty() || parts->after.empty()) {
        return invalid_argument("invalid checksum digest format");
    }
    const std::size_t digits = digits_of(parts->before);
    if (digits == 0) {
        return invalid_argument("unsupported digest algorithm");
    }
    if (parts->after.size() != digits) {
        return invalid_argument("invalid checksum digest length");
    }
    if (!is_lower_hex(parts->after)) {
        return invalid_argument("invalid checksum digest format");
    }
    return Digest(std::string(text));
}

Result<Digest> Digest::from_sha256_hex(std::string_view hex) {
    return parse("sha256:" + std::string(hex));
}

std::string_view Digest::algorithm() const {
    const auto parts = cut(text_, ":");
    return parts ? parts->before : std::string_view();
}

std::string_view Digest::hex() const {
    const auto parts = cut(text_, ":");
    return parts ? parts->after : std::string_view();
}

} // namespace berth::oci

namespace berth::json {

Result<oci::Digest> Codec<oci::Digest>::decode(const Value& value) {
    if (!value.is_string()) {
        return invalid_argument("expected a digest");
    }
    const auto& text = value.get_string();
    if (text.empty()) {
        return oci::Digest();
    }
    return oci::Digest::parse({text.data(), text.size()});
}

Value Codec<oci::Digest>::encode(const oci::Digest& digest) {
    return boost::json::string(digest.to_string());
}

} // namespace berth::json
