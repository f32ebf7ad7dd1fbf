// SPDX-License-Identifier: Apache-2.0
// The rules are those of docker's cli/config: "auth" is base64 of user:password, and with a helper
// program an empty entry stays in the file to say that there is a login.
#include "cli/credentials.h"

#include "base/file.h"
#include "base/strings.h"
#include "cli/credential_helper.h"
#include "codec/base64.h"

#include <array>
#include <climits>
#include <cstdlib>

#include <sys/stat.h>

namespace berth::cli {

namespace {

Result<Credentials> decode_entry(const json::Value& entry) {
    Credentials found;
    found.identity_token = json::find_string(entry, "identitytoken");
    found.registry_token = json::find_string(entry, "registrytoken");
    std::string pair = TRY(base64_decode(json::find_string(entry, "auth")));
    if (std::optional<Cut> parts = cut(pair, ":")) {
        found.username = parts->before;
        // Old tools padded the password with zero bytes.
        std::size_t end = parts->after.find('\0');
        found.password = parts->after.substr(0, end);
    } else if (!pair.empty()) {
        return invalid_argument("invalid auth configuration file");
    }
    return found;
}

json::Object encode_entry(const Credentials& credentials) {
    json::Object entry;
    if (!credentials.username.empty() || !credentials.password.empty()) {
        entry["auth"] = base64_encode(credentials.username + ":" + credentials.password);
    }
    if (!credentials.identity_token.empty()) {
        entry["identitytoken"] = credentials.identity_token;
    }
    if (!credentials.registry_token.empty()) {
        entry["registrytoken"] = credentials.registry_token;
    }
    return entry;
}

// A link that people keep in their dotfiles stays one.
std::string behind_links(const std::string& path) {
    std::array<char, PATH_MAX> resolved{};
    return ::realpath(path.c_str(), resolved.data()) != nullptr ? std::string(resolved.data())
                                                                : path;
}

mode_t mode_of(const std::string& path) {
    struct stat status {};

    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777U : 0600U;
}

} // namespace

std::string hostname_of(std::string_view server) {
    for (std::string_view scheme : {"https://", "http://"}) {
        if (server.starts_with(scheme)) {
            server.remove_prefix(scheme.size());
        }
    }
    return std::string(server.substr(0, server.find('/')));
}

json::Object auth_document(const Credentials& credentials, std::string_view server) {
    json::Object header;
    for (const auto& [name, value] :
         {std::pair<const char*, const std::string&>{"username", credentials.username},
          {"password", credentials.password},
          {"identitytoken", credentials.identity_token},
          {"registrytoken", credentials.registry_token}}) {
        if (!value.empty()) {
            header[name] = value;
        }
    }
    header["serveraddress"] = server;
    return header;
}

std::string auth_header(const Credentials& credentials, std::string_view server) {
    return base64_encode(
        json::serialize(json::Value(auth_document(credentials, server))), Base64Alphabet::UrlSafe);
}

Result<CredentialFile> CredentialFile::load(const std::string& folder) {
    std::string path = folder + "/config.json";
    if (!exists(path)) {
        return CredentialFile(path, {});
    }
    std::string text = TRY(read_file(path));
    if (trim(text).empty()) {
        return CredentialFile(path, {});
    }
    json::Value document = TRY_CONTEXT(json::parse(text), path);
    if (!document.is_object()) {
        return invalid_argument(path + ": a JSON object is expected");
    }
    return CredentialFile(path, document.get_object());
}

json::Object* CredentialFile::auths() {
    json::Value& value = document_["auths"];
    if (!value.is_object()) {
        value = json::Object();
    }
    return &value.get_object();
}

const json::Object* CredentialFile::auths() const {
    const auto* found = document_.find("auths");
    return found != document_.end() && found->value().is_object() ? &found->value().get_object()
                                                                  : nullptr;
}

std::string CredentialFile::helper_for(std::string_view server) const {
    json::Value document(document_);
    if (const json::Value* helpers = json::find(document, "credHelpers")) {
        if (const json::Value* helper = json::find(*helpers, server);
            helper != nullptr && helper->is_string()) {
            return std::string(helper->get_string());
        }
    }
    return std::string(json::find_string(document, "credsStore"));
}

Result<Credentials> CredentialFile::from_file(std::string_view server) const {
    const json::Object* entries = auths();
    if (entries == nullptr) {
        return Credentials{};
    }
    if (const auto* entry = entries->find(server); entry != entries->end()) {
        return TRY_CONTEXT(decode_entry(entry->value()), path_);
    }
    for (const auto& entry : *entries) {
        if (hostname_of(entry.key()) == server) { // of an old client
            return TRY_CONTEXT(decode_entry(entry.value()), path_);
        }
    }
    return Credentials{};
}

Result<Credentials> CredentialFile::get(std::string_view server) const {
    std::string helper = helper_for(server);
    return helper.empty() ? from_file(server) : CredentialHelper(helper).get(server);
}

std::map<std::string, Credentials> CredentialFile::all(void (*warn)(std::string_view)) const {
    std::map<std::string, Credentials> found;
    auto keep = [&](const std::string& server, Result<Credentials> credentials) {
        if (!credentials.ok()) {
            warn(credentials.error().message());
        } else if (!credentials->empty()) {
            found.insert_or_assign(server, std::move(*credentials));
        }
    };
    if (const json::Object* entries = auths()) {
        for (const auto& entry : *entries) {
            keep(std::string(entry.key()), decode_entry(entry.value()));
        }
    }
    json::Value document(document_);
    if (std::string_view store = json::find_string(document, "credsStore"); !store.empty()) {
        CredentialHelper helper(store);
        auto users = helper.list();
        if (!users.ok()) {
            warn(users.error().message());
        } else {
            for (const auto& [server, user] : *users) {
                keep(server, helper.get(server));
            }
        }
    }
    const json::Value* helpers = json::find(document, "credHelpers");
    if (helpers != nullptr && helpers->is_object()) {
        for (const auto& member : helpers->get_object()) {
            std::string server(member.key());
            keep(server, get(server));
        }
    }
    return found;
}

Result<bool> CredentialFile::store(std::string_view server, const Credentials& credentials) {
    std::string helper = helper_for(server);
    json::Object entry = encode_entry(credentials);
    if (!helper.empty()) {
        TRY(CredentialHelper(helper).store(server, credentials));
        entry = {};
    }
    bool readable = !entry.empty();
    auths()->insert_or_assign(server, std::move(entry));
    TRY(save());
    return readable;
}

Result<void> CredentialFile::erase(std::string_view server) {
    if (std::string helper = helper_for(server); !helper.empty()) {
        TRY(CredentialHelper(helper).erase(server));
    }
    if (std::as_const(*this).auths() == nullptr || auths()->erase(server) == 0) {
        return ok();
    }
    return save();
}

Result<void> CredentialFile::save() const {
    TRY(make_directories(path_.substr(0, path_.rfind('/')), 0700));
    std::string target = behind_links(path_);
    return replace_file(
        target, json::serialize_indented(json::Value(document_), "\t"), mode_of(target));
}

} // namespace berth::cli
