// SPDX-License-Identifier: Apache-2.0
// A request's way: its resource, who asks, whether this registry does that at all, its handler; and
// what is written down about it afterwards.
#include "registry/server.h"

#include "base/log.h"
#include "registry/server/access_log.h"
#include "registry/server/authenticator.h"
#include "registry/server/call.h"
#include "registry/server/collector.h"
#include "registry/server/control.h"
#include "registry/server/metrics.h"
#include "registry/server/recorded_response.h"
#include "registry/server/upstream.h"

namespace berth::registry {

struct Server::Parts {
    Options options;
    std::unique_ptr<Storage> storage;
    std::unique_ptr<Authenticator> authenticator; // nullptr: everybody may do everything
    std::unique_ptr<Upstream> upstream;
    std::unique_ptr<AccessLog> access_log;
    Metrics metrics;
    std::unique_ptr<Collector> collector;

    void handle(
        const std::stop_token& stop,
        http::Request& request,
        http::Body& body,
        http::ResponseWriter& response);
    Result<void> serve(Call& call, bool has_route, std::string& user);
    Result<bool> admit(const Call& call, std::string& user);
    Result<bool> refuse_change(const Call& call);
};

namespace {

Result<void> say_hello(const Call& call) {
    http::Headers headers = call.headers();
    headers.add("Content-Type", "application/json; charset=utf-8");
    return call.response.respond(200, std::move(headers), "{}");
}

// docker-registry's 200 at the root is what load balancers ask for.
Result<void> serve_elsewhere(const Call& call) {
    http::Headers headers = call.headers();
    if (call.request.path == "/" && call.reads()) {
        return call.response.respond(200, {{"Cache-Control", "no-cache"}});
    }
    headers.add("Content-Type", "text/plain; charset=utf-8");
    return call.response.respond(404, std::move(headers), "404 page not found\n");
}

Result<void> serve_route(Call& call) {
    switch (call.route.resource) {
    case Resource::Base:
        return call.reads() ? say_hello(call) : call.refuse_method("GET, HEAD");
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

bool has_name(Resource resource) {
    return resource != Resource::Base && resource != Resource::Catalog;
}

// As docker-registry's: to push is to pull too, to mount from elsewhere to pull there.
std::vector<Access> wanted_access(const Call& call) {
    if (call.route.resource == Resource::Base) {
        return {};
    }
    if (call.route.resource == Resource::Catalog) {
        return {{"registry", "catalog", "*"}};
    }
    const std::string& name = call.route.repository;
    const std::string& method = call.request.method;
    // To cancel an upload is not to delete what is stored.
    bool deletes = method == "DELETE" && call.route.resource != Resource::Upload;
    if (deletes) {
        return {{"repository", name, "delete"}};
    }
    std::vector<Access> wanted{{"repository", name, "pull"}};
    bool asks_upload = call.route.resource == Resource::Upload && call.reads();
    if (!call.reads() || asks_upload) {
        wanted.push_back({"repository", name, "push"});
    }
    std::string_view from = call.request.query.get("from");
    if (call.route.resource == Resource::Uploads && !from.empty() && is_repository_name(from)) {
        wanted.push_back({"repository", std::string(from), "pull"});
    }
    return wanted;
}

} // namespace

// False: the request was refused.
Result<bool> Server::Parts::admit(const Call& call, std::string& user) {
    if (authenticator == nullptr) {
        return true;
    }
    std::vector<Access> wanted = wanted_access(call);
    auto denial = TRY(authenticator->check(call.request, wanted, user));
    if (!denial) {
        return true;
    }
    http::Headers headers;
    if (!denial->challenge.empty()) {
        headers.add("WWW-Authenticate", denial->challenge);
    }
    TRY(call.fail(denial->code, denial->detail, std::move(headers)));
    return false;
}

// True: the request wants a change that this registry does not make.
Result<bool> Server::Parts::refuse_change(const Call& call) {
    if (call.reads() || !has_name(call.route.resource)) {
        return false;
    }
    std::string_view reason;
    if (upstream != nullptr) {
        reason = "this registry is a cache of another one";
    } else if (options.read_only) {
        reason = "this registry is read-only";
    } else if (
        !options.deletion && call.request.method == "DELETE" &&
        call.route.resource != Resource::Upload) {
        reason = "deletion is switched off";
    } else {
        return false;
    }
    TRY(call.fail(ErrorCode::Unsupported, reason));
    return true;
}

Result<void> Server::Parts::serve(Call& call, bool has_route, std::string& user) {
    if (!has_route) {
        return serve_elsewhere(call);
    }
    if (has_name(call.route.resource) && !is_repository_name(call.route.repository)) {
        return call.fail(ErrorCode::NameInvalid, call.route.repository);
    }
    if (!TRY(admit(call, user)) || TRY(refuse_change(call))) {
        return ok();
    }
    return serve_route(call);
}

void Server::Parts::handle(
    const std::stop_token& stop,
    http::Request& request,
    http::Body& body,
    http::ResponseWriter& response) {
    auto begun = std::chrono::steady_clock::now();
    metrics.begin_request();
    RecordedResponse recorded(response, request.method != "HEAD");
    std::optional<Route> route = parse_route(request.path);
    Service service{options, *storage, upstream.get()};
    Call call{service, stop, request, body, recorded, route.value_or(Route{})};
    std::string user;
    if (auto outcome = serve(call, route.has_value(), user); !outcome.ok()) {
        log::debug(
            "a request failed", {{"target", request.target}, {"error", outcome.error().message()}});
        if (!response.begun()) {
            [[maybe_unused]] auto sent = call.fail(outcome.error(), ErrorCode::Unknown);
        }
    }
    RequestRecord record;
    if (route) {
        record.resource = route->resource;
    }
    record.method = request.method;
    record.status = recorded.status();
    record.duration = std::chrono::steady_clock::now() - begun;
    record.received = body.consumed();
    record.sent = recorded.sent();
    metrics.end_request(record);
    if (access_log) {
        access_log->write(request, user, record);
    }
}

Server::Server(std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)) {}

Server::~Server() {
    parts_->collector.reset();
    if (parts_->upstream) {
        parts_->upstream->stop();
    }
}

Result<std::unique_ptr<Server>> Server::open(Options options) {
    auto parts = std::make_unique<Parts>();
    parts->options = std::move(options);
    if (parts->options.upstream.registry.empty()) {
        parts->options.collection.keep.value = std::chrono::seconds(0); // of caches only
    }
    const Options& chosen = parts->options;
    TRY(chosen.check());
    StorageOptions storage;
    storage.root = chosen.root;
    storage.total_bytes = chosen.quota.total.value;
    storage.repository_bytes = chosen.quota.repository.value;
    storage.open_uploads = chosen.limits.open_uploads;
    storage.uploads = chosen.limits.uploads;
    storage.repositories = chosen.limits.repositories;
    storage.touch_interval = std::min(storage.touch_interval, chosen.collection.grace.value / 2);
    parts->storage = TRY(Storage::open(std::move(storage)));
    if (!chosen.htpasswd.file.empty()) {
        parts->authenticator = TRY(make_htpasswd_authenticator(chosen.htpasswd));
    } else if (!chosen.token.realm.empty()) {
        parts->authenticator = TRY(make_token_authenticator(chosen.token));
    }
    if (!chosen.upstream.registry.empty()) {
        parts->upstream = std::make_unique<Upstream>(chosen, *parts->storage);
    }
    if (!chosen.access_log.empty()) {
        parts->access_log = TRY(AccessLog::open(chosen.access_log));
    }
    parts->collector =
        std::make_unique<Collector>(*parts->storage, parts->metrics, chosen.collection);
    return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Result<std::unique_ptr<Server>> Server::open(const std::string& root) {
    Options options;
    options.root = root;
    options.collection.interval.value = std::chrono::seconds(0);
    return open(std::move(options));
}

http::Handler Server::handler() {
    return [parts = parts_.get()](
               const std::stop_token& stop,
               http::Request& request,
               http::Body& body,
               http::ResponseWriter& response) { parts->handle(stop, request, body, response); };
}

http::Handler Server::metrics_handler() {
    return [parts = parts_.get()](
               const std::stop_token&,
               http::Request& request,
               http::Body&,
               http::ResponseWriter& response) {
        std::string text = "404 page not found\n";
        http::Headers headers{{"Content-Type", "text/plain; charset=utf-8"}};
        unsigned status = 404;
        if (request.path == "/metrics") {
            status = 200;
            headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
            text = parts->metrics.render(*parts->storage);
        } else if (request.path == "/health") {
            status = 200;
            text = "ok\n";
        }
        [[maybe_unused]] auto sent = response.respond(status, std::move(headers), text);
    };
}

http::Handler Server::control_handler() {
    return [parts = parts_.get()](
               const std::stop_token& stop,
               http::Request& request,
               http::Body&,
               http::ResponseWriter& response) {
        Control{*parts->storage, *parts->collector, parts->options}.serve(stop, request, response);
    };
}

Result<CollectReport> Server::collect(const CollectOptions& options) {
    return parts_->collector->collect(options);
}

Result<std::string> Server::collect_root(Options options) {
    options.collection.interval.value = std::chrono::seconds(0);
    if (options.upstream.registry.empty()) {
        options.collection.keep.value = std::chrono::seconds(0);
    }
    CollectionOptions collection = options.collection;
    std::string root = options.root;
    auto registry = open(std::move(options));
    if (registry.ok()) {
        return to_json(TRY((*registry)->collect(to_collect_options(collection))));
    }
    return registry.error().kind() == ErrorKind::Conflict ? collect_by_control(root, collection)
                                                          : std::move(registry).error();
}

Result<CheckOutcome> Server::check_root(Options options, bool repair) {
    options.collection.interval.value = std::chrono::seconds(0);
    std::string root = options.root;
    CheckOptions chosen{.repair = repair, .cache = !options.upstream.registry.empty(), .stop = {}};
    auto registry = open(std::move(options));
    if (registry.ok()) {
        CheckReport report = TRY((*registry)->parts_->storage->check(chosen));
        return CheckOutcome{to_json(report), report.unrepaired == 0};
    }
    if (registry.error().kind() != ErrorKind::Conflict) {
        return std::move(registry).error();
    }
    std::string report = TRY(check_by_control(root, repair));
    json::Value document = TRY(json::parse(report));
    const json::Value* left = json::find(document, "unrepaired");
    bool clean = left != nullptr && left->is_int64() && left->get_int64() == 0;
    return CheckOutcome{std::move(report), clean};
}

http::ErrorBody Server::error_body(unsigned status, std::string_view message) {
    ErrorCode code = status == 429 || status == 503 ? ErrorCode::TooManyRequests
                     : status == 413                ? ErrorCode::SizeInvalid
                                                    : ErrorCode::Unknown;
    return {"application/json; charset=utf-8", error_document(code, message)};
}

} // namespace berth::registry
