// SPDX-License-Identifier: Apache-2.0
// The protocol of docker-credential-* programs: one word as argument, a document on each side.
// https://github.com/docker/docker-credential-helpers
#pragma once

#include "base/result.h"
#include "cli/credentials.h"

#include <map>
#include <string>
#include <string_view>

namespace berth::cli {

class CredentialHelper {
  public:
    explicit CredentialHelper(std::string_view suffix)
        : program_("docker-credential-" + std::string(suffix)) {}

    // Empty when it has none for the server.
    Result<Credentials> get(std::string_view server) const;
    Result<void> store(std::string_view server, const Credentials& credentials) const;
    Result<void> erase(std::string_view server) const;
    // Server -> user name.
    Result<std::map<std::string, std::string>> list() const;

  private:
    // What it printed; the error has docker's words: "error <doing> credentials - err: …".
    Result<std::string>
    run(std::string_view action, std::string_view doing, const std::string& input) const;

    std::string program_;
};

} // namespace berth::cli
