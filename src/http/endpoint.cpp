// SPDX-License-Identifier: Apache-2.0
// Where a client connects to: the text form of DOCKER_HOST.
#include "base/strings.h"
#include "http/client.h"

namespace berth::http {

namespace {

Result<Endpoint>
parse_tcp(std::string_view text, std::string_view address, std::uint16_t default_port) {
    if (std::size_t slash = address.find('/'); slash != std::string_view::npos) {
        if (slash + 1 != address.size()) {
            return invalid_argument("\"" + std::string(text) + "\": a path is not supported");
        }
        address.remove_suffix(1);
    }
    Endpoint endpoint;
    endpoint.kind = Endpoint::Kind::Tcp;
    endpoint.port = default_port;
    std::string_view host = address;
    std::size_t bracket = address.rfind(']');
    std::size_t colon = address.rfind(':');
    if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
        host = address.substr(0, colon);
        endpoint.port = TRY_CONTEXT(
            parse_number<std::uint16_t>(address.substr(colon + 1)),
            "port of \"" + std::string(text) + "\"");
    }
    if (host.starts_with("[") && host.ends_with("]")) {
        host = host.substr(1, host.size() - 2);
    }
    endpoint.host = host.empty() ? "localhost" : std::string(host);
    return endpoint;
}

} // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
    std::optional<Cut> parts = cut(text, "://");
    if (!parts || parts->after.empty()) {
        return invalid_argument("unable to parse docker host \"" + std::string(text) + "\"");
    }
    if (parts->before == "unix") {
        Endpoint endpoint;
        endpoint.path = std::string(parts->after);
        return endpoint;
    }
    if (parts->before == "tcp") {
        return parse_tcp(text, parts->after, 2375);
    }
    if (parts->before == "http") {
        return parse_tcp(text, parts->after, 80);
    }
    return not_implemented(
        "connections by " + std::string(parts->before) + " are not supported: use unix or tcp");
}

std::string Endpoint::to_string() const {
    if (kind == Kind::Unix) {
        return "unix://" + path;
    }
    bool v6 = host.find(':') != std::string::npos;
    return "tcp://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

} // namespace berth::http
