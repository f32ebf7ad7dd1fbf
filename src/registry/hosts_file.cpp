// SPDX-License-Identifier: Apache-2.0
// containerd's hosts.toml (https://github.com/containerd/containerd/blob/main/docs/hosts.md). The
// library for TOML throws, so it is called in one place.
#include "base/file.h"
#include "base/strings.h"
#include "registry/hosts.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <sstream>

#include <toml.hpp>

namespace berth::registry {

namespace {

constexpr std::size_t file_limit = 1U << 20;

struct Place {
    std::string file;
    std::string table; // "" or host."https://x"
    std::string key;

    Error wrong(std::string_view expected) const {
        return invalid_argument(
            file + ": " + table + (table.empty() ? "" : ".") + key + " must be " +
            std::string(expected));
    }
};

std::string text_of(const toml::value& value) {
    return toml::get<std::string>(value);
}

Result<std::vector<std::string>> strings(const toml::value& value, const Place& place) {
    std::vector<std::string> found;
    if (value.is_string()) {
        found.push_back(text_of(value));
        return found;
    }
    if (!value.is_array()) {
        return place.wrong("a string or a list of strings");
    }
    for (const toml::value& element : value.as_array()) {
        if (!element.is_string()) {
            return place.wrong("a string or a list of strings");
        }
        found.push_back(text_of(element));
    }
    return found;
}

std::string beside(const std::string& file, const std::string& path) {
    return path.starts_with("/") ? path : file.substr(0, file.rfind('/') + 1) + path;
}

// "one.pem", ["one.pem"] or [["certificate.pem", "key.pem"]]: the first pair.
Result<void> read_client(const toml::value& value, const Place& place, TlsMaterial& tls) {
    std::vector<std::string> pair;
    if (value.is_array() && !value.as_array().empty() && value.as_array()[0].is_array()) {
        pair = TRY(strings(value.as_array()[0], place));
    } else {
        pair = TRY(strings(value, place));
        pair.resize(std::min<std::size_t>(pair.size(), 1));
    }
    if (pair.empty() || pair.size() > 2) {
        return place.wrong("a file, or a list of pairs of a certificate and a key");
    }
    tls.certificate_file = beside(place.file, pair[0]);
    tls.key_file =
        pair.size() == 2 && !pair[1].empty() ? beside(place.file, pair[1]) : tls.certificate_file;
    for (const std::string& path : {tls.certificate_file, tls.key_file}) {
        if (!exists(path)) {
            return invalid_argument(place.file + ": there is no " + path);
        }
    }
    return ok();
}

Result<void> read_capabilities(const toml::value& value, const Place& place, RegistryHost& host) {
    host.can_pull = host.can_resolve = host.can_push = false;
    for (const std::string& capability : TRY(strings(value, place))) {
        if (capability == "pull") {
            host.can_pull = true;
        } else if (capability == "resolve") {
            host.can_resolve = true;
        } else if (capability == "push") {
            host.can_push = true;
        } else {
            return invalid_argument(place.file + ": unknown capability \"" + capability + "\"");
        }
    }
    return ok();
}

Result<void> read_headers(const toml::value& value, const Place& place, ApiBase& base) {
    if (!value.is_table()) {
        return place.wrong("a table");
    }
    for (const auto& [name, texts] : value.as_table()) {
        for (const std::string& text : TRY(strings(texts, place))) {
            if ((name + text).find_first_of("\r\n") != std::string::npos) {
                return place.wrong("headers of one line each");
            }
            base.headers.add(name, text);
        }
    }
    return ok();
}

Result<bool> boolean(const toml::value& value, const Place& place) {
    return value.is_boolean() ? Result<bool>(value.as_boolean()) : place.wrong("true or false");
}

// The keys that the file's top and its host tables have alike.
Result<void> read_host(const toml::value& table, Place place, RegistryHost& host) {
    ApiBase& base = host.bases[0];
    auto tls = std::make_shared<TlsMaterial>();
    for (const auto& [key, value] : table.as_table()) {
        place.key = key;
        if (key == "capabilities") {
            TRY(read_capabilities(value, place, host));
        } else if (key == "ca") {
            for (const std::string& path : TRY(strings(value, place))) {
                tls->authorities += TRY(read_file(beside(place.file, path))) + "\n";
            }
        } else if (key == "client") {
            TRY(read_client(value, place, *tls));
        } else if (key == "skip_verify") {
            base.verify = TRY(boolean(value, place)) ? VerifyTls::No : VerifyTls::Yes;
        } else if (key == "header") {
            TRY(read_headers(value, place, base));
        } else if (key == "override_path") {
            base.whole_path = TRY(boolean(value, place));
        } else if (bool read_elsewhere = place.table.empty() && (key == "server" || key == "host");
                   !read_elsewhere && key != "dial_timeout") { // one timeout is as good as another
            return invalid_argument(
                place.file + ": unknown key " + place.table + (place.table.empty() ? "" : ".") +
                key);
        }
    }
    if (!tls->authorities.empty() || !tls->certificate_file.empty()) {
        base.tls = std::move(tls);
    }
    return ok();
}

Result<ApiBase> base_of(std::string url, const std::string& file) {
    if (url.find("://") == std::string::npos) {
        url = "https://" + url;
    }
    if (!url.starts_with("https://") && !url.starts_with("http://")) {
        return invalid_argument(file + ": unsupported scheme in \"" + url + "\"");
    }
    while (url.ends_with('/')) {
        url.pop_back();
    }
    // containerd takes "https://mirror.example/v2" for the root's address.
    if (url.ends_with("/v2") && std::ranges::count(url, '/') == 3) {
        url.resize(url.size() - 3);
    }
    std::size_t scheme = url.find("://");
    std::string_view rest =
        scheme == std::string::npos ? "" : std::string_view(url).substr(scheme + 3);
    if (rest.empty() || rest.starts_with("/") || rest.find_first_of("?#@ ") != rest.npos) {
        return invalid_argument(file + ": \"" + url + "\" is no registry host");
    }
    return ApiBase{.url = std::move(url)};
}

std::string host_in(std::string_view url) {
    std::string_view rest = url.substr(url.find("://") + 3);
    return std::string(rest.substr(0, rest.find('/')));
}

// Where the key stands in the file: hosts are tried in the order in which they are written.
template <class Value>
std::size_t line_of(const Value& value) {
    if constexpr (requires { value.location().first_line_number(); }) {
        return value.location().first_line_number();
    } else {
        return value.location().line();
    }
}

Result<std::vector<RegistryHost>>
read_document(const toml::value& document, const std::string& file, std::string_view registry) {
    std::vector<std::pair<std::size_t, RegistryHost>> mirrors;
    std::string own_host = api_host(registry);
    if (document.contains("host")) {
        const toml::value& hosts = document.at("host");
        if (!hosts.is_table()) {
            return Place{file, "", "host"}.wrong("a table");
        }
        for (const auto& [url, table] : hosts.as_table()) {
            Place place{file, "host.\"" + url + "\"", ""};
            if (!table.is_table()) {
                return Place{file, "host", "\"" + url + "\""}.wrong("a table");
            }
            RegistryHost host{.bases = {TRY(base_of(url, file))}};
            TRY(read_host(table, place, host));
            std::string name = host_in(host.bases[0].url);
            host.is_registry = name == registry || name == own_host;
            if (!host.is_registry) {
                host.bases[0].namespace_of = registry;
            }
            mirrors.emplace_back(line_of(table), std::move(host));
        }
    }
    std::ranges::sort(mirrors, {}, [](const auto& entry) { return entry.first; });
    std::vector<RegistryHost> found;
    for (auto& [line, host] : mirrors) {
        found.push_back(std::move(host));
    }
    Place place{file, "", "server"};
    std::string server = "https://" + own_host;
    if (document.contains("server")) {
        if (!document.at("server").is_string()) {
            return place.wrong("a string");
        }
        server = text_of(document.at("server"));
    }
    RegistryHost last{.bases = {TRY(base_of(server, file))}};
    if (host_in(last.bases[0].url) == "docker.io") {
        last.bases[0].url = "https://" + api_host("docker.io");
    }
    TRY(read_host(document, place, last));
    found.push_back(std::move(last));
    return found;
}

Result<toml::value> parse(const std::string& text, const std::string& file) {
    try {
        std::istringstream stream(text);
        return toml::parse(stream, file);
    } catch (const std::exception& error) {
        // The first line of the message says what, the rest draws a picture of where.
        std::string message = error.what();
        return invalid_argument(file + ": " + replace_all(trim(message), "\n", " "));
    }
}

} // namespace

Result<std::vector<RegistryHost>>
read_hosts_file(const std::string& path, std::string_view registry) {
    std::string text = TRY(read_file(path, file_limit));
    toml::value document = TRY(parse(text, path));
    return read_document(document, path, registry);
}

} // namespace berth::registry
