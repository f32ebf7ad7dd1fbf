// SPDX-License-Identifier: Apache-2.0
// BuildKit's protocols over the engine's own builder: sessions, and the builds that use them.
#pragma once

#include "api/body_uploads.h"
#include "api/context.h"
#include "base/result.h"
#include "build/builder.h"
#include "build/client_sessions.h"
#include "build/rpc.h"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

namespace berth::api {

class BuildKitServer;

// A build under way, that others can cancel by its id.
class Running {
  public:
    explicit Running(std::shared_ptr<std::stop_source> stop)
        : stop_(std::move(stop)) {}

    std::stop_token token() const { return stop_->get_token(); }

    void cancel() const { stop_->request_stop(); }

  private:
    std::shared_ptr<std::stop_source> stop_;
};

struct SessionBuild {
    build::BuildRequest request;
    std::string session;       // its client lends secrets, credentials and agents; "": none does
    std::string files_session; // its client has the files; "": the same
    std::string upload;        // address of an archive that has them instead; "": none
    ByteSource* archive = nullptr; // that has them instead, and outlives the build
    std::string ref;               // the build's own name
};

// Shared by all requests; thread-safe.
class BuildKit {
  public:
    explicit BuildKit(const Services& services);
    ~BuildKit();
    BuildKit(const BuildKit&) = delete;
    BuildKit& operator=(const BuildKit&) = delete;

    const Services& services() const { return services_; }

    build::ClientSessions& sessions() { return sessions_; }

    BodyUploads& uploads() { return uploads_; }

    // gRPC, loaded now if it was not before.
    Result<build::RpcTransport*> transport() const;

    // The server of BuildKit's own API, started with its first connection.
    Result<BuildKitServer*> server();

    // Conflict when there is one of that id already; no id is always another one.
    Result<Running> begin(const std::string& id);
    void cancel(const std::string& id);

    // Builds with the session's files; `send` gets serialized StatusResponses.
    Result<oci::Digest> build(
        const std::stop_token& stop,
        const SessionBuild& build,
        const std::function<void(const std::string& status)>& send);

  private:
    const Services& services_;
    build::ClientSessions sessions_;
    BodyUploads uploads_;
    std::mutex mutex_;
    std::map<std::string, std::weak_ptr<std::stop_source>> running_;
    std::unique_ptr<BuildKitServer> server_;
};

} // namespace berth::api
