// SPDX-License-Identifier: Apache-2.0
// From libcurl's codes to Go's sentences.
#include "registry/curl_failure.h"

#include "base/strings.h"

#include <cstring>

namespace berth::registry {

namespace {

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::string without_port(std::string_view authority) {
    std::size_t colon = authority.rfind(':');
    std::size_t bracket = authority.rfind(']');
    bool has_port =
        colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
    return std::string(has_port ? authority.substr(0, colon) : authority);
}

std::string certificate_text(const TransferFailure& failure) {
    std::string reason;
    if (contains(failure.text, "expired") || contains(failure.text, "not yet valid")) {
        reason = "certificate has expired or is not yet valid";
    } else if (contains(failure.text, "subject name")) {
        reason = "certificate is not valid for " + without_port(authority_of(failure.url));
    } else if (
        contains(failure.text, "issuer certificate") || contains(failure.text, "self-signed") ||
        contains(failure.text, "self signed")) {
        reason = "certificate signed by unknown authority";
    } else {
        reason = failure.text;
    }
    return "tls: failed to verify certificate: x509: " + reason;
}

std::string timeout_text(const TransferFailure& failure) {
    if (!failure.connected) {
        return "dial tcp " + std::string(failure.dialled) + ": i/o timeout";
    }
    return authority_of(failure.url) + " sent less than " + std::to_string(slowest) +
           " bytes a second for " + std::to_string(failure.stalled.count()) + " s";
}

} // namespace

std::string authority_of(std::string_view url) {
    std::optional<Cut> parts = cut(url, "://");
    std::string_view rest = parts ? parts->after : url;
    return std::string(rest.substr(0, rest.find_first_of("/?#")));
}

std::string failure_text(const TransferFailure& failure) {
    std::string dial = "dial tcp " + std::string(failure.dialled) + ": ";
    CURLcode code = failure.code;
    if (code == CURLE_COULDNT_RESOLVE_HOST) {
        return "dial tcp: lookup " + without_port(authority_of(failure.url)) + ": no such host";
    }
    if (code == CURLE_COULDNT_RESOLVE_PROXY) {
        return "proxyconnect tcp: " + std::string(failure.text);
    }
    if (code == CURLE_COULDNT_CONNECT) {
        int number = failure.error_number;
        return dial +
               "connect: " + (number == 0 ? "connection refused" : to_lower(std::strerror(number)));
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return timeout_text(failure);
    }
    if (code == CURLE_SSL_CONNECT_ERROR && contains(failure.text, "wrong version")) {
        return "http: server gave HTTP response to HTTPS client";
    }
    if (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_RECV_ERROR) {
        if (contains(failure.text, "certificate required") ||
            contains(failure.text, "bad certificate")) {
            return "remote error: tls: certificate required";
        }
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        return certificate_text(failure);
    }
    if (code == CURLE_TOO_MANY_REDIRECTS) {
        return "stopped after " + std::to_string(redirect_limit) + " redirects";
    }
    if (code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE) {
        return "unexpected EOF";
    }
    return failure.text.empty() ? std::string(curl_easy_strerror(code)) : std::string(failure.text);
}

} // namespace berth::registry
