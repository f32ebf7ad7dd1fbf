// SPDX-License-Identifier: Apache-2.0
// One authorization plugin over Docker's protocol. Thread-safe; calls block, for as long as Options
// says at most. https://docs.docker.com/engine/extend/plugins_authorization/
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "engine/plugin_endpoint.h"
#include "http/client.h"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace berth::engine {

class AuthorizationPlugin {
  public:
    struct Options {
        PluginPlaces places;
        // It may be about to start again. Not Docker's 30 s: every request waits that long.
        std::chrono::milliseconds patience{2'000};
        std::chrono::milliseconds answer_time{60'000};
    };

    struct Verdict {
        bool allow = false;
        std::string message;
    };

    AuthorizationPlugin(std::string name, Options options);

    const std::string& name() const { return name_; }

    // Whether it is there and is an authorization plugin.
    Result<void> check();

    // AuthZPlugin.AuthZReq or AuthZPlugin.AuthZRes. Whoever cannot ask must refuse.
    Result<Verdict> ask(std::string_view method, const std::string& document);

  private:
    using ClientPtr = std::shared_ptr<http::Client>;

    Result<ClientPtr> find();
    Result<std::string> call(http::Client& client, std::string_view method, std::string body) const;
    Result<std::string> call_patiently(std::string_view method, const std::string& body);

    const std::string name_;
    const Options options_;
    Synchronized<ClientPtr> active_; // nullptr: to be looked for
};

} // namespace berth::engine
