// SPDX-License-Identifier: Apache-2.0
// Authorization plugins before every request and every answer, as Docker has them.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "engine/authorization_plugin.h"
#include "http/server.h"

#include <memory>
#include <string>
#include <vector>

namespace berth::api {

// Thread-safe.
class Authorization {
  public:
    using Plugins = std::vector<std::shared_ptr<engine::AuthorizationPlugin>>;

    explicit Authorization(engine::AuthorizationPlugin::Options options = {})
        : options_(std::move(options)) {}

    using PluginsPtr = std::shared_ptr<const Plugins>;

    // An Error when one of them cannot be asked what it is.
    Result<PluginsPtr> find(const std::vector<std::string>& names) const;

    // For requests that begin from now on.
    void use(PluginsPtr plugins) { *plugins_.lock() = std::move(plugins); }

    // A handler that asks the plugins, in their order, and calls the other when all allow it. The
    // object must outlive it.
    http::Handler guard(http::Handler next) const;

  private:
    const engine::AuthorizationPlugin::Options options_;
    Synchronized<PluginsPtr> plugins_;
};

} // namespace berth::api
