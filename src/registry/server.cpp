// SPDX-License-Identifier: Apache-2.0
// From a path to the handler of its resource.
#include "registry/server.h"

#include "base/log.h"
#include "registry/server_route.h"
#include "registry/storage.h"

namespace berth::registry {

namespace {

Result<void> serve_route(Call& call) {
    switch (call.route.resource) {
    case Resource::Base:
        return call.reads() ? call.reply_json(200, json::Object{}, {})
                            : call.refuse_method("GET, HEAD");
    case Resource::Catalog:
        return serve_catalog(call);
    case Resource::Tags:
        return serve_tags(call);
    case Resource::Manifest:
        return serve_manifest(call);
    case Resource::Blob:
        return serve_blob(call);
    case Resource::Uploads:
        return serve_uploads(call);
    case Resource::Upload:
        return serve_upload(call);
    case Resource::Referrers:
        return serve_referrers(call);
    }
    return call.fail(ErrorCode::Unknown);
}

void handle(
    Storage& storage, http::Request& request, http::Body& body, http::ResponseWriter& response) {
    std::optional<Route> route = parse_route(request.path);
    Call call{storage, request, body, response, route.value_or(Route{})};
    bool has_name =
        route && route->resource != Resource::Base && route->resource != Resource::Catalog;
    Result<void> outcome = ok();
    if (!route) {
        http::Headers headers{{"Content-Type", "text/plain; charset=utf-8"}};
        outcome = response.respond(404, std::move(headers), "404 page not found\n");
    } else if (has_name && !is_repository_name(route->repository)) {
        outcome = call.fail(ErrorCode::NameInvalid, route->repository);
    } else {
        outcome = serve_route(call);
    }
    if (!outcome.ok()) {
        log::debug(
            "a request failed", {{"target", request.target}, {"error", outcome.error().message()}});
        if (!response.begun()) {
            [[maybe_unused]] auto sent = call.fail(outcome.error(), ErrorCode::Unknown);
        }
    }
}

} // namespace

Server::Server(std::unique_ptr<Storage> storage)
    : storage_(std::move(storage)) {}

Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::open(const std::string& root) {
    // Not within the new-expression: an error that leaves from there frees nothing.
    std::unique_ptr<Storage> storage = TRY(Storage::open(root));
    return std::unique_ptr<Server>(new Server(std::move(storage)));
}

http::Handler Server::handler() {
    return [storage = storage_.get()](
               const std::stop_token&,
               http::Request& request,
               http::Body& body,
               http::ResponseWriter& response) { handle(*storage, request, body, response); };
}

http::ErrorBody Server::error_body(unsigned status, std::string_view message) {
    ErrorCode code = status == 429 || status == 503 ? ErrorCode::TooManyRequests
                     : status == 413                ? ErrorCode::SizeInvalid
                                                    : ErrorCode::Unknown;
    return {"application/json; charset=utf-8", error_document(code, message)};
}

} // namespace berth::registry
