// SPDX-License-Identifier: Apache-2.0
// A registry: the distribution specification's API, as a handler for an HTTP server, over OCI image
// layouts on disk (docs/registry.md, docs/formats/registry.md).
#pragma once

#include "base/result.h"
#include "http/server.h"
#include "registry/server/options.h"

#include <memory>
#include <string>
#include <string_view>

namespace berth::registry {

struct CollectOptions;
struct CollectReport;

struct CheckOutcome {
    std::string report; // JSON
    bool clean = false; // nothing is wrong, or all of it was repaired
};

// Thread-safe. One process per root.
class Server {
  public:
    // Makes the root where absent and sweeps what a killed process left. Collects garbage by itself
    // as long as it lives, where the options say so.
    static Result<std::unique_ptr<Server>> open(Options options);
    // With every option as it is preset, and no collection by itself.
    static Result<std::unique_ptr<Server>> open(const std::string& root);
    ~Server();

    // The handlers are valid as long as this object.
    http::Handler handler();
    // /metrics and /health, for an address that clients do not reach.
    http::Handler metrics_handler();
    // POST /collect and /check, for a socket that only the registry's owner can reach.
    http::Handler control_handler();

    Result<CollectReport> collect(const CollectOptions& options);
    // For `berth-registry gc`: in the process that serves the root, or here when there is none. The
    // report as JSON.
    static Result<std::string> collect_root(Options options);
    // For `berth-registry check`, likewise.
    static Result<CheckOutcome> check_root(Options options, bool repair);

    // For http::ServerOptions: the specification's error document.
    static http::ErrorBody error_body(unsigned status, std::string_view message);

    struct Parts;

  private:
    explicit Server(std::unique_ptr<Parts> parts);

    std::unique_ptr<Parts> parts_;
};

} // namespace berth::registry
