// SPDX-License-Identifier: Apache-2.0
// A misspelt name in the file must not become a registry that is open to everybody: names that are
// not known are refused.
#include "registry/server/options.h"

#include "base/file.h"
#include "base/strings.h"
#include "base/time.h"

#include <algorithm>

namespace berth::registry {

namespace {

constexpr std::size_t options_file_limit = 1U << 20;

// `known` is a document with every name that there is.
Result<void>
check_names(const json::Value& given, const json::Value& known, const std::string& path) {
    if (!given.is_object() || !known.is_object()) {
        return ok();
    }
    for (const auto& member : given.get_object()) {
        std::string name(member.key());
        const json::Value* match = json::find(known, name);
        if (match == nullptr) {
            return invalid_argument("unknown name \"" + path + name + "\"");
        }
        TRY(check_names(member.value(), *match, path + name + "."));
    }
    return ok();
}

} // namespace

Result<Duration> Duration::parse(std::string_view text) {
    auto parsed = TRY(parse_duration(text));
    if (parsed.count() < 0) {
        return invalid_argument("\"" + std::string(text) + "\" is negative");
    }
    return Duration{std::chrono::ceil<std::chrono::seconds>(parsed)};
}

Result<ByteCount> ByteCount::parse(std::string_view text) {
    std::string lower = to_lower(text);
    std::string_view digits = lower;
    if (digits.ends_with("b")) {
        digits.remove_suffix(1);
    }
    std::uint64_t unit = 1;
    constexpr std::string_view units = "kmgt";
    if (std::size_t position = digits.empty() ? std::string_view::npos : units.find(digits.back());
        position != std::string_view::npos) {
        unit = std::uint64_t{1} << (10 * (position + 1));
        digits.remove_suffix(1);
    }
    auto number = TRY(parse_number<std::uint64_t>(digits));
    if (number > UINT64_MAX / unit) {
        return invalid_argument("\"" + std::string(text) + "\" is too large");
    }
    return ByteCount{number * unit};
}

Result<void> Options::read(const std::string& file) {
    std::string text = TRY(read_file(file, options_file_limit));
    json::Value document = TRY_CONTEXT(json::parse(text), file);
    if (!document.is_object()) {
        return invalid_argument(file + ": not a JSON object");
    }
    TRY_CONTEXT(check_names(document, json::encode(Options{}), {}), file);
    TRY_CONTEXT(json::decode_into(*this, document), file);
    return ok();
}

Result<void> Options::check() const {
    if (root.empty()) {
        return invalid_argument("no root folder is given");
    }
    if (tls.certificate.empty() != tls.key.empty()) {
        return invalid_argument("TLS needs a certificate and a key");
    }
    if (tls.certificate.empty() && !tls.client_ca.empty()) {
        return invalid_argument("client certificates are for TLS: a certificate is missing");
    }
    if (tls.minimum != "1.2" && tls.minimum != "1.3") {
        return invalid_argument("the minimum TLS version is 1.2 or 1.3, not " + tls.minimum);
    }
    if (!htpasswd.file.empty() && !token.realm.empty()) {
        return invalid_argument("passwords and tokens cannot be used together");
    }
    if (!token.realm.empty() &&
        (token.service.empty() || token.issuer.empty() || token.root_certificates.empty())) {
        return invalid_argument("tokens need a realm, a service, an issuer and root certificates");
    }
    if (token.realm.empty() &&
        (!token.service.empty() || !token.issuer.empty() || !token.root_certificates.empty())) {
        return invalid_argument("tokens need a realm");
    }
    return ok();
}

} // namespace berth::registry

namespace berth::json {

Result<registry::Duration> Codec<registry::Duration>::decode(const Value& value) {
    if (!value.is_string()) {
        return invalid_argument("expected a duration like \"90s\" or \"1h30m\"");
    }
    const auto& text = value.get_string();
    return registry::Duration::parse({text.data(), text.size()});
}

Value Codec<registry::Duration>::encode(const registry::Duration& duration) {
    return boost::json::string(std::to_string(duration.value.count()) + "s");
}

Result<registry::ByteCount> Codec<registry::ByteCount>::decode(const Value& value) {
    if (value.is_int64() && value.get_int64() >= 0) {
        return registry::ByteCount{static_cast<std::uint64_t>(value.get_int64())};
    }
    if (!value.is_string()) {
        return invalid_argument("expected a number of bytes, or one like \"10g\"");
    }
    const auto& text = value.get_string();
    return registry::ByteCount::parse({text.data(), text.size()});
}

Value Codec<registry::ByteCount>::encode(const registry::ByteCount& count) {
    return Value(count.value);
}

} // namespace berth::json
