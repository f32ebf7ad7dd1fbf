// SPDX-License-Identifier: Apache-2.0
// Requests of the command line over http::Client, with docker's words for a daemon that is not
// there.
#include "cli/session.h"

#include "base/file.h"
#include "base/strings.h"
#include "cli/credentials.h"
#include "cli/output.h"
#include "codec/base64.h"
#include "http/client.h"
#include "http/tls_client.h"
#include "oci/reference.h"

#include <cerrno>
#include <cstdlib>

namespace berth::cli {

namespace {

// What Docker 25 and later, and every Berth, answer; no negotiation, no extra round trip.
constexpr std::string_view api_version = "/v1.51";
constexpr std::string_view default_host = "unix:///run/berth/berth.sock";
constexpr std::size_t answer_limit = 256U << 20;

ErrorKind kind_of_status(unsigned status) {
    switch (status) {
    case 304:
        return ErrorKind::NotModified;
    case 400:
        return ErrorKind::InvalidArgument;
    case 401:
        return ErrorKind::Unauthorized;
    case 403:
        return ErrorKind::Forbidden;
    case 404:
        return ErrorKind::NotFound;
    case 409:
        return ErrorKind::Conflict;
    case 501:
        return ErrorKind::NotImplemented;
    case 503:
        return ErrorKind::Unavailable;
    default:
        return ErrorKind::Internal;
    }
}

Error daemon_error(unsigned status, const std::string& body) {
    std::string message;
    Result<json::Value> document = json::parse(body);
    if (document.ok()) {
        message = json::find_string(*document, "message");
    }
    if (message.empty()) {
        message = body.empty() ? "the daemon answered with status " + std::to_string(status)
                               : std::string(trim(body));
    }
    return {kind_of_status(status), std::move(message)};
}

Error connection_error(Error error, const std::string& host) {
    int number = error.error_number();
    if (number == ENOENT || number == ECONNREFUSED) {
        return {
            ErrorKind::Unavailable,
            "Cannot connect to the Berth daemon at " + host + ". Is the berth daemon running?"};
    }
    if (number == EACCES) {
        return {
            ErrorKind::Forbidden,
            "permission denied while trying to connect to the Berth daemon socket at " + host};
    }
    return error;
}

http::ClientRequest request_of(const RequestOptions& options) {
    http::ClientRequest request;
    request.method = options.method;
    request.target = std::string(api_version) + options.target;
    if (!options.content_type.empty()) {
        request.headers.set("Content-Type", options.content_type);
    }
    if (!options.registry_auth.empty()) {
        request.headers.set("X-Registry-Auth", options.registry_auth);
    }
    if (!options.registry_config.empty()) {
        request.headers.set("X-Registry-Config", options.registry_config);
    }
    request.body_source = options.body;
    return request;
}

Result<json::Value> read_document(http::Response& response) {
    std::string body = TRY(response.read_body(answer_limit));
    if (response.status >= 300) {
        return daemon_error(response.status, body);
    }
    if (trim(body).empty()) {
        return json::Value(nullptr);
    }
    if (!response.headers.get("Content-Type").starts_with("application/json")) {
        return json::Value(body);
    }
    return TRY_CONTEXT(json::parse(body), "the daemon's answer");
}

void warn(std::string_view message) {
    print_error("WARNING: " + std::string(message) + "\n");
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

// docker's port of tcp:// is another one with TLS.
std::string with_tls_port(const std::string& host) {
    const std::size_t bracket = host.rfind(']');
    const std::size_t colon = host.rfind(':');
    const std::size_t scheme = host.find("://");
    const bool has_port = colon > scheme && (bracket == std::string::npos || colon > bracket);
    return has_port ? host : host + ":2376";
}

// https://github.com/docker/cli/blob/v28.5.1/cli/flags/options.go (SetDefaultOptions): files that
// were not named count where they are there; authorities must be.
Result<std::shared_ptr<http::TlsClient>> tls_client(SessionTls tls, const std::string& config) {
    std::string folder = environment("DOCKER_CERT_PATH");
    if (folder.empty()) {
        folder = config;
    }
    if (tls.ca_file.empty()) {
        tls.ca_file = folder + "/ca.pem";
    }
    const auto complete = [&folder](std::string& file, const char* name) {
        if (file.empty() && exists(folder + "/" + name)) {
            file = folder + "/" + name;
        }
    };
    complete(tls.certificate_file, "cert.pem");
    complete(tls.key_file, "key.pem");
    if (tls.certificate_file.empty() != tls.key_file.empty()) {
        return invalid_argument("TLS needs both a certificate and its key: --tlscert and --tlskey");
    }
    return http::TlsClient::create(
        {.verify = tls.verify,
         .ca_file = tls.ca_file,
         .certificate_file = tls.certificate_file,
         .key_file = tls.key_file});
}

} // namespace

Session::Session(SessionOptions options)
    : options_(std::move(options)) {
    for (const char* name : {"BERTH_HOST", "DOCKER_HOST"}) {
        if (options_.host.empty()) {
            options_.host = environment(name);
        }
    }
    if (options_.host.empty()) {
        options_.host = default_host;
    }
    if (options_.config.empty()) {
        options_.config = environment("DOCKER_CONFIG");
    }
    if (options_.config.empty()) {
        options_.config = environment("HOME") + "/.docker";
    }
    SessionTls& tls = options_.tls;
    tls.verify = tls.verify || !environment("DOCKER_TLS_VERIFY").empty();
    tls.enabled = tls.enabled || tls.verify || !environment("DOCKER_TLS").empty();
}

Session::~Session() = default;

Result<http::Client*> Session::client() {
    if (!client_) {
        http::ClientOptions options;
        std::string host = options_.host;
        if (options_.tls.enabled && !host.starts_with("unix://")) {
            options.tls = TRY(tls_client(options_.tls, options_.config));
            host = with_tls_port(host);
        }
        http::Endpoint endpoint = TRY(http::Endpoint::parse(host));
        client_ = std::make_unique<http::Client>(std::move(endpoint), std::move(options));
    }
    return client_.get();
}

Result<json::Value> Session::exchange(const RequestOptions& options) {
    http::Client* connection = TRY(client());
    Result<http::Response> response = connection->request(request_of(options));
    if (!response.ok()) {
        return connection_error(std::move(response).error(), options_.host);
    }
    return read_document(*response);
}

Result<json::Value> Session::get(const std::string& target) {
    return exchange({.target = target});
}

Result<json::Value> Session::post(const std::string& target, const json::Value& body) {
    if (body.is_null()) {
        return exchange({.method = "POST", .target = target});
    }
    StringSource source(json::serialize(body));
    return exchange(
        {.method = "POST", .target = target, .content_type = "application/json", .body = &source});
}

Result<json::Value> Session::remove(const std::string& target) {
    return exchange({.method = "DELETE", .target = target});
}

Result<std::unique_ptr<ByteSource>> Session::stream(const RequestOptions& options) {
    http::Client* connection = TRY(client());
    Result<http::Response> response = connection->request(request_of(options));
    if (!response.ok()) {
        return connection_error(std::move(response).error(), options_.host);
    }
    if (response->status >= 300) {
        return daemon_error(response->status, TRY(response->read_body(answer_limit)));
    }
    if (options.header_value != nullptr) {
        *options.header_value = response->headers.get(options.wanted_header);
    }
    return std::move(response->body);
}

Result<Session::Hijacked> Session::hijack(const std::string& target, const json::Value& body) {
    http::Client* connection = TRY(client());
    http::ClientRequest request = request_of({.method = "POST", .target = target});
    if (!body.is_null()) {
        request.headers.set("Content-Type", "application/json");
        request.body = json::serialize(body);
    }
    Result<http::Upgraded> upgraded = connection->upgrade(std::move(request));
    if (!upgraded.ok()) {
        return connection_error(std::move(upgraded).error(), options_.host);
    }
    if (!upgraded->connection) {
        return daemon_error(
            upgraded->response.status, TRY(upgraded->response.read_body(answer_limit)));
    }
    bool multiplexed =
        upgraded->response.headers.get("Content-Type") != "application/vnd.docker.raw-stream";
    return Hijacked{std::move(upgraded->connection), std::move(upgraded->leftover), multiplexed};
}

Result<std::string> Session::registry_auth(std::string_view reference) const {
    oci::Reference parsed = TRY(oci::Reference::parse_normalized(reference));
    const std::string& registry = parsed.registry();
    std::string server = registry == "docker.io" ? std::string(hub_key) : registry;
    CredentialFile file = TRY(CredentialFile::load(options_.config));
    Result<Credentials> credentials = file.get(server);
    if (!credentials.ok()) {
        warn(credentials.error().message());
        return std::string();
    }
    return credentials->empty() ? std::string() : auth_header(*credentials, server);
}

Result<std::string> Session::registry_config() const {
    CredentialFile file = TRY(CredentialFile::load(options_.config));
    json::Object header;
    for (const auto& [server, credentials] : file.all(warn)) {
        header[server] = auth_document(credentials, server);
    }
    return header.empty()
               ? std::string()
               : base64_encode(json::serialize(json::Value(header)), Base64Alphabet::UrlSafe);
}

} // namespace berth::cli
