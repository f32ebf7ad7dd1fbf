// SPDX-License-Identifier: Apache-2.0
// GET /v1/search?q=term&n=limit
#include "registry/search.h"

#include "codec/base64.h"
#include "codec/json.h"
#include "http/query.h"
#include "registry/hosts.h"
#include "registry/transport.h"

#include <optional>

namespace berth::registry {

namespace {

struct SearchAnswer {
    std::vector<SearchResult> results;
};

} // namespace

} // namespace berth::registry

template <>
struct berth::json::Fields<berth::registry::SearchResult> {
    using T = registry::SearchResult;
    static constexpr auto table = std::tuple{
        field("name", &T::name),
        field("description", &T::description),
        field("star_count", &T::star_count),
        field("is_official", &T::is_official)};
};

template <>
struct berth::json::Fields<berth::registry::SearchAnswer> {
    using T = registry::SearchAnswer;
    static constexpr auto table = std::tuple{field("results", &T::results)};
};

namespace berth::registry {

namespace {

constexpr std::size_t answer_limit = 4U << 20;

// Docker Hub's index is a host of its own, beside that of its images.
Result<std::vector<ApiBase>> index_bases(const std::string& registry, const HostsOptions& options) {
    if (registry == "docker.io") {
        return std::vector<ApiBase>{{.url = "https://index.docker.io"}};
    }
    const auto hosts = TRY(registry_hosts(registry, options));
    return push_host(hosts).bases;
}

Outgoing ask(const ApiBase& base, const SearchRequest& request, const ClientOptions& options) {
    http::Query query;
    query.add("q", request.term);
    query.add("n", std::to_string(request.limit));
    Outgoing outgoing{
        .url = base.url + "/v1/search?" + query.to_string(),
        .headers = base.headers,
        .verify = base.verify,
        .tls = base.tls,
        .stalled = options.stalled};
    const Credentials& credentials = options.credentials;
    if (!credentials.username.empty()) {
        outgoing.headers.set(
            "Authorization",
            "Basic " + base64_encode(credentials.username + ":" + credentials.password));
    }
    return outgoing;
}

Result<std::vector<SearchResult>> read_answer(Exchange& exchange) {
    if (exchange.status() != 200) {
        return internal_error("unexpected status code " + std::to_string(exchange.status()));
    }
    auto answer = json::decode_text<SearchAnswer>(TRY(exchange.read_body(answer_limit)));
    if (!answer.ok()) {
        return std::move(answer)
            .error()
            .with_context("error decoding registry search results")
            .as(ErrorKind::Internal);
    }
    return std::move(answer->results);
}

} // namespace

Result<std::vector<SearchResult>>
search(std::stop_token stop, const SearchRequest& request, const ClientOptions& options) {
    Transport transport(options.user_agent);
    std::optional<Error> first;
    for (const ApiBase& base : TRY(index_bases(request.registry, options.hosts))) {
        auto exchange = transport.send(stop, ask(base, request, options));
        if (exchange.ok()) {
            return read_answer(**exchange);
        }
        first = first ? first : std::move(exchange).error();
    }
    return first ? std::move(*first)
                 : Error(ErrorKind::Unavailable, request.registry + " has no address to search at");
}

} // namespace berth::registry
