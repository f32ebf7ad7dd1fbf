// SPDX-License-Identifier: Apache-2.0
// Percent encoding of query names and values.
#include "cli/query.h"

#include "base/strings.h"
#include "codec/json.h"
#include "oci/platform.h"

namespace berth::cli {

std::string percent_encode(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string encoded;
    for (char c : text) {
        bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (unreserved) {
            encoded += c;
        } else {
            auto byte = static_cast<unsigned char>(c);
            encoded += '%';
            encoded += digits[byte >> 4];
            encoded += digits[byte & 15];
        }
    }
    return encoded;
}

void Query::add(std::string_view name, std::string_view value) {
    text_ += text_.empty() ? '?' : '&';
    text_ += percent_encode(name);
    text_ += '=';
    text_ += percent_encode(value);
}

Result<void>
add_platforms(Query& query, std::string_view name, const std::vector<std::string>& texts) {
    for (const std::string& list : texts) {
        for (const std::string_view text : split(list, ',')) {
            const oci::Platform platform = TRY(oci::Platform::parse(text));
            query.add(name, json::encode_text(platform));
        }
    }
    return ok();
}

Result<void> add_platform(Query& query, const std::string& text) {
    if (!text.empty()) {
        const oci::Platform platform = TRY(oci::Platform::parse(text));
        query.add("platform", json::encode_text(platform));
    }
    return ok();
}

} // namespace berth::cli
