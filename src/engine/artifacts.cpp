// SPDX-License-Identifier: Apache-2.0
// Names and settings for the registry's side of artifacts.
#include "engine/artifacts.h"

#include "engine/daemon_config.h"
#include "engine/images_parts.h"
#include "registry/artifact.h"

namespace berth::engine {

namespace {

registry::ClientOptions
client_options(const DaemonConfig& config, const RegistryCredentials& credentials) {
    ImagesOptions options;
    options.insecure_registries = config.insecure_registries;
    options.registry_mirrors = config.registry_mirrors;
    options.max_download_attempts = config.max_download_attempts;
    return client_options(options, credentials);
}

} // namespace

Result<std::string> Artifacts::push(
    std::stop_token stop,
    const ArtifactRequest& request,
    const RegistryCredentials& credentials,
    ByteSource& files,
    const ImageProgressCallback& progress) const {
    registry::ArtifactPush push{
        .reference = TRY(oci::Reference::parse_normalized(request.name)),
        .type = request.type,
        .subject = request.subject,
        .media_types = request.media_types,
        .annotations = request.annotations};
    if (push.reference.has_digest()) {
        return invalid_argument(
            "an artifact is pushed to a tag: its digest comes from its content");
    }
    if (push.subject.empty()) {
        push.reference = push.reference.with_default_tag();
    }
    const oci::Digest digest = TRY(registry::push_artifact(
        std::move(stop),
        store_,
        push,
        client_options(config_, credentials),
        files,
        forward_to(progress)));
    return digest.to_string();
}

Result<void> Artifacts::pull(
    std::stop_token stop,
    const std::string& name,
    const RegistryCredentials& credentials,
    ByteSink& tar) const {
    return registry::pull_artifact(
        std::move(stop),
        store_,
        TRY(oci::Reference::parse_normalized(name)),
        client_options(config_, credentials),
        tar);
}

Result<ArtifactList> Artifacts::list(
    std::stop_token stop,
    const std::string& name,
    const std::string& type,
    const RegistryCredentials& credentials) const {
    const oci::Reference reference = TRY(oci::Reference::parse_normalized(name));
    auto list = TRY(registry::list_referrers(
        std::move(stop), reference, type, client_options(config_, credentials)));
    return ArtifactList{.subject = std::move(list.subject), .referrers = std::move(list.referrers)};
}

} // namespace berth::engine
