// SPDX-License-Identifier: Apache-2.0
// BuildKit's protocols over the engine's own builder.
#include "api/buildkit.h"

#include "api/build_callbacks.h"
#include "api/buildkit_server.h"
#include "build/session_context.h"
#include "build/session_services.h"
#include "build/solve_status.h"
#include "build/upload_context.h"
#include "engine/images.h"

namespace berth::api {

namespace {

engine::RegistryCredentials to_credentials(build::SessionCredentials given) {
    engine::RegistryCredentials credentials;
    if (given.username.empty()) {
        credentials.identity_token = std::move(given.secret);
    } else {
        credentials.username = std::move(given.username);
        credentials.password = std::move(given.secret);
    }
    return credentials;
}

build::BuildCallbacks
make_callbacks(engine::Engine& engine, build::SessionServices* client, build::SolveStatus& status) {
    build::BuildCallbacks callbacks;
    callbacks.observer = &status;
    callbacks.client = client;
    callbacks.image = [&engine](const oci::Digest& id) {
        publish_build_event(engine, "create", id, id.to_string());
    };
    callbacks.tagged = [&engine](const oci::Digest& id, const oci::Reference& name) {
        publish_build_event(engine, "tag", id, name.familiar());
    };
    callbacks.pull = [&engine, client, &status](
                         std::stop_token stop,
                         const oci::Reference& name,
                         const oci::Platform& platform) -> Result<void> {
        build::SessionCredentials credentials;
        if (client != nullptr) {
            credentials = TRY(client->credentials(stop, name.registry()));
        }
        return engine.images().pull(
            std::move(stop),
            name.with_default_tag().to_string(),
            "",
            platform.to_string(),
            to_credentials(std::move(credentials)),
            [&status](const engine::ImageProgress& progress) {
                if (progress.has_progress) {
                    status.progress(
                        progress.id + " " + progress.status, progress.current, progress.total);
                }
            });
    };
    return callbacks;
}

} // namespace

BuildKit::BuildKit(const Services& services)
    : services_(services) {}

BuildKit::~BuildKit() = default;

Result<build::RpcTransport*> BuildKit::transport() const {
    return build::load_rpc_transport(
        services_.engine->options().program_directory + "/" + std::string(build::rpc_module_name));
}

Result<BuildKitServer*> BuildKit::server() {
    auto* grpc = TRY(transport());
    const std::lock_guard lock(mutex_);
    if (!server_) {
        server_ = TRY(BuildKitServer::create(*this, *grpc));
    }
    return server_.get();
}

Result<Running> BuildKit::begin(const std::string& id) {
    auto stop = std::make_shared<std::stop_source>();
    const std::lock_guard lock(mutex_);
    std::erase_if(running_, [](const auto& entry) { return entry.second.expired(); });
    if (!id.empty() && !running_.emplace(id, stop).second) {
        return conflict("build " + id + " is running already");
    }
    return Running(std::move(stop));
}

void BuildKit::cancel(const std::string& id) {
    std::shared_ptr<std::stop_source> stop;
    {
        const std::lock_guard lock(mutex_);
        const auto found = running_.find(id);
        if (found != running_.end()) {
            stop = found->second.lock();
        }
    }
    if (stop) {
        stop->request_stop();
    }
}

Result<oci::Digest> BuildKit::build(
    const std::stop_token& stop,
    const SessionBuild& build,
    const std::function<void(const std::string& status)>& send) {
    if (services_.builder == nullptr) {
        return Error(ErrorKind::Unavailable, "this engine runs without a builder");
    }
    engine::Engine& engine = *services_.engine;
    std::shared_ptr<build::ClientSession> session;
    if (!build.session.empty() || build.archive == nullptr) {
        session = TRY(sessions_.wait_for(stop, build.session));
    }
    auto files =
        build.files_session.empty() ? session : TRY(sessions_.wait_for(stop, build.files_session));
    count_build(engine);
    build::SolveStatus status(build.ref, send);
    std::optional<build::SessionServices> client;
    if (session) {
        client.emplace(std::move(session));
    }
    std::unique_ptr<build::ContextSource> context;
    if (build.archive != nullptr) {
        context = std::make_unique<build::TarContext>(*build.archive);
    } else if (auto path = build::upload_path(build.upload)) {
        context = std::make_unique<build::UploadContext>(std::move(files), std::move(*path));
    } else {
        context = std::make_unique<build::SessionContext>(
            std::move(files), [&status](std::uint64_t bytes) {
                status.progress("transferring context:", static_cast<std::int64_t>(bytes), 0);
            });
    }
    auto built = services_.builder->build(
        stop, build.request, *context, make_callbacks(engine, client ? &*client : nullptr, status));
    if (!built.ok()) {
        count_build_failure(engine, built.error());
        return std::move(built).error();
    }
    return built->image_id;
}

} // namespace berth::api
