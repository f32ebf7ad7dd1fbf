// SPDX-License-Identifier: Apache-2.0
// Credentials for registries as docker keeps them: in config.json ("auths"), or with a program
// docker-credential-<name> that "credsStore" (for all registries) or "credHelpers" (for one) names.
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <map>
#include <string>
#include <string_view>

namespace berth::cli {

struct Credentials {
    std::string username;
    std::string password;
    std::string identity_token; // instead of the password
    std::string registry_token;

    bool empty() const {
        return username.empty() && password.empty() && identity_token.empty() &&
               registry_token.empty();
    }
};

// The key of Docker Hub in config.json.
inline constexpr std::string_view hub_key = "https://index.docker.io/v1/";

// "https://registry.example/v2/" -> "registry.example"
std::string hostname_of(std::string_view server);

// Docker's AuthConfig.
json::Object auth_document(const Credentials& credentials, std::string_view server);
// What X-Registry-Auth carries: base64url of that document.
std::string auth_header(const Credentials& credentials, std::string_view server);

class CredentialFile {
  public:
    // An absent file is an empty one; InvalidArgument names a file that is no JSON object.
    static Result<CredentialFile> load(const std::string& folder);

    // Empty when there are none. A failure of a helper program is the error.
    Result<Credentials> get(std::string_view server) const;
    // Everything that is known, by server: a build may need any of it. `warn` is called for each
    // helper that fails.
    std::map<std::string, Credentials> all(void (*warn)(std::string_view)) const;

    // Saves; true when the secret lies readable in config.json now.
    Result<bool> store(std::string_view server, const Credentials& credentials);
    Result<void> erase(std::string_view server);

    const std::string& path() const { return path_; }

  private:
    CredentialFile(std::string path, json::Object document)
        : path_(std::move(path))
        , document_(std::move(document)) {}

    // The suffix of the program's name; "" for the file itself.
    std::string helper_for(std::string_view server) const;
    json::Object* auths();
    const json::Object* auths() const;
    Result<Credentials> from_file(std::string_view server) const;
    // Under a temporary name and renamed, readable by its owner only; other people's keys stay.
    Result<void> save() const;

    std::string path_;
    json::Object document_;
};

} // namespace berth::cli
