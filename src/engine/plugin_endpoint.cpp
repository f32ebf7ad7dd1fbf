// SPDX-License-Identifier: Apache-2.0
// After moby's pkg/plugins/discovery.go.
#include "engine/plugin_endpoint.h"

#include "base/file.h"
#include "base/strings.h"
#include "codec/json.h"
#include "http/tls_client.h"

#include <memory>
#include <utility>

#include <sys/stat.h>

namespace berth::engine {
namespace {

constexpr std::size_t specification_limit = 64U << 10;

// A name becomes a path.
bool is_plugin_name(std::string_view name) {
    return !name.empty() && name.find('/') == std::string_view::npos && !name.starts_with('.');
}

std::vector<std::string>
places_in(const std::string& folder, const std::string& name, const char* extension) {
    return {folder + "/" + name + extension, folder + "/" + name + "/" + name + extension};
}

// "https://host:port/path", of which plugins have no use for the path.
Result<http::Endpoint> parse_https(std::string_view authority) {
    constexpr std::uint16_t https_port = 443;
    authority = authority.substr(0, authority.find('/'));
    const std::string address(authority);
    http::Endpoint endpoint = TRY(http::Endpoint::parse("tcp://" + address));
    const bool names_port = address.find(':', address.find_last_of(']') + 1) != std::string::npos;
    if (!names_port) {
        endpoint.port = https_port;
    }
    return endpoint;
}

bool says_true(const json::Value& object, std::string_view name) {
    const json::Value* value = json::find(object, name);
    return value != nullptr && value->is_bool() && value->get_bool();
}

// `configuration`: what a specification has as "TLSConfig", if it has. Unlike dockerd, a plugin
// without a CAFile is not believed unseen: the system's authorities judge it.
Result<http::Client> client_of(std::string_view address, const json::Value* configuration) {
    constexpr std::string_view https = "https://";
    if (!address.starts_with(https)) {
        return http::Client(TRY(http::Endpoint::parse(address)));
    }
    http::TlsClientOptions tls;
    if (configuration != nullptr) {
        tls.verify = !says_true(*configuration, "InsecureSkipVerify");
        tls.ca_file = json::find_string(*configuration, "CAFile");
        tls.certificate_file = json::find_string(*configuration, "CertFile");
        tls.key_file = json::find_string(*configuration, "KeyFile");
    }
    http::Endpoint endpoint = TRY(parse_https(address.substr(https.size())));
    return http::Client(std::move(endpoint), {.tls = TRY(http::TlsClient::create(tls))});
}

Result<http::Client> client_of_document(const std::string& path) {
    const std::string text = TRY(read_file(path, specification_limit));
    const json::Value document = TRY_CONTEXT(json::parse(text), path);
    const json::Value* tls = json::find(document, "TLSConfig");
    return TRY_CONTEXT(
        client_of(
            json::find_string(document, "Addr"),
            tls != nullptr && tls->is_object() ? tls : nullptr),
        path);
}

} // namespace

bool is_plugin_socket(const std::string& path) {
    struct stat status {};

    return stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

Result<http::Client> find_plugin(const PluginPlaces& places, const std::string& name) {
    const Error missing = not_found("plugin \"" + name + "\" not found");
    if (!is_plugin_name(name)) {
        return missing;
    }
    for (const std::string& path : places_in(places.sockets, name, ".sock")) {
        if (is_plugin_socket(path)) {
            http::Endpoint endpoint;
            endpoint.path = path;
            return http::Client(std::move(endpoint));
        }
    }
    for (const std::string& folder : places.specifications) {
        for (const std::string& path : places_in(folder, name, ".spec")) {
            if (exists(path)) {
                const std::string text = TRY(read_file(path, specification_limit));
                return client_of(trim(text), nullptr);
            }
        }
        for (const std::string& path : places_in(folder, name, ".json")) {
            if (exists(path)) {
                return client_of_document(path);
            }
        }
    }
    return missing;
}

} // namespace berth::engine
