// SPDX-License-Identifier: Apache-2.0
// docker-registry takes "*/*" for a refusal of OCI's types; here it means what RFC 9110 says.
#include "registry/server/negotiation.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::registry {

namespace {

bool is_refused(std::string_view parameters) {
    for (std::string_view parameter : split(parameters, ';')) {
        std::string_view text = trim(parameter);
        if ((text.starts_with("q=") || text.starts_with("Q=")) &&
            text.substr(2).find_first_not_of("0.") == std::string_view::npos) {
            return true;
        }
    }
    return false;
}

} // namespace

AcceptedTypes AcceptedTypes::of(const http::Headers& headers) {
    AcceptedTypes accepted;
    std::vector<std::string_view> lines = headers.get_all("Accept");
    accepted.anything_ = lines.empty();
    for (std::string_view line : lines) {
        for (std::string_view part : split(line, ',')) {
            std::size_t semicolon = part.find(';');
            std::string type = to_lower(trim(part.substr(0, semicolon)));
            if (type.empty() ||
                (semicolon != std::string_view::npos && is_refused(part.substr(semicolon + 1)))) {
                continue;
            }
            accepted.anything_ =
                accepted.anything_ || type == "*/*" || type == "*" || type == "application/*";
            accepted.types_.push_back(std::move(type));
        }
    }
    return accepted;
}

bool AcceptedTypes::takes(std::string_view media_type) const {
    return anything_ || names(media_type);
}

bool AcceptedTypes::names(std::string_view media_type) const {
    return std::ranges::find(types_, media_type) != types_.end();
}

} // namespace berth::registry
