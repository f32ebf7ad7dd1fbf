// SPDX-License-Identifier: Apache-2.0
// A registry: the distribution specification's API, as a handler for an HTTP server, over OCI image
// layouts on disk (docs/formats/registry.md).
#pragma once

#include "base/result.h"
#include "http/server.h"

#include <memory>
#include <string>

namespace berth::registry {

class Storage;

// Thread-safe. One process per root.
class Server {
  public:
    // Makes the root where absent and sweeps what a killed process left.
    static Result<std::unique_ptr<Server>> open(const std::string& root);
    ~Server();

    // Valid as long as this object.
    http::Handler handler();

    // For http::ServerOptions: the specification's error document.
    static http::ErrorBody error_body(unsigned status, std::string_view message);

  private:
    explicit Server(std::unique_ptr<Storage> storage);

    std::unique_ptr<Storage> storage_;
};

} // namespace berth::registry
