// SPDX-License-Identifier: Apache-2.0
// The order of events and words is that of moby's distribution/pull_v2.go.
#include "registry/puller.h"

#include "base/log.h"
#include "base/strings.h"
#include "registry/image_fetch.h"
#include "registry/layer_puller.h"
#include "registry/progress_reporter.h"
#include "store/store.h"

namespace berth::registry {

namespace {

class Pull {
  public:
    Pull(
        std::stop_token stop,
        store::Store& store,
        const oci::Reference& reference,
        const PullOptions& options,
        ProgressReporter& reporter)
        : stop_(std::move(stop))
        , store_(store)
        , reference_(reference)
        , options_(options)
        , reporter_(reporter) {}

    Result<PulledImage> from(const std::string& registry, const ClientOptions& client_options);

  private:
    Result<PulledImage>
    keep(const ImageDocuments& documents, const FetchedConfig& config, bool downloaded);

    std::stop_token stop_;
    store::Store& store_;
    const oci::Reference& reference_;
    const PullOptions& options_;
    ProgressReporter& reporter_;
};

Result<PulledImage> Pull::from(const std::string& registry, const ClientOptions& client_options) {
    Client client(registry, reference_.path(), Action::Pull, client_options);
    TRY(client.ping(stop_));
    std::string name = reference_.has_digest() ? reference_.digest().to_string() : reference_.tag();
    ImageDocuments documents = TRY(fetch_documents(stop_, client, reference_, options_.platform));
    reporter_.state(name, "Pulling from " + reference_.path());
    store::Lease lease = store_.images().lease();
    FetchedConfig config = TRY(fetch_config(stop_, client, store_, lease, documents.parsed));
    bool downloaded = false;
    auto existing = TRY(store_.images().find(documents.parsed.config.digest.to_string()));
    if (!existing) {
        LayerPuller layers(
            LayerPuller::Job{
                .client = client,
                .store = store_,
                .lease = lease,
                .manifest = documents.parsed,
                .config = config.parsed,
                .max_concurrent = options_.max_concurrent},
            reporter_);
        downloaded = TRY(layers.run(stop_));
    }
    return keep(documents, config, downloaded);
}

Result<PulledImage>
Pull::keep(const ImageDocuments& documents, const FetchedConfig& config, bool downloaded) {
    store::NewImage image;
    image.config_json = config.bytes;
    image.manifest = documents.manifest.bytes;
    image.manifest_type = documents.manifest.descriptor.media_type;
    if (!reference_.has_digest()) {
        image.names.push_back(reference_);
    }
    image.repo_digests.push_back(
        reference_.without_tag_and_digest().with_digest(documents.named_digest));
    store::Image stored = TRY(store_.images().create(image));
    reporter_.message("Digest: " + documents.named_digest.to_string());
    reporter_.message(
        (downloaded ? "Status: Downloaded newer image for " : "Status: Image is up to date for ") +
        reference_.familiar());
    return PulledImage{.id = stored.id, .digest = documents.named_digest, .newer = downloaded};
}

// "https://mirror.example/" and "mirror.example:5000" alike.
std::string mirror_host(std::string_view mirror, ClientOptions& options) {
    bool plain = mirror.starts_with("http://");
    if (std::optional<Cut> parts = cut(mirror, "://")) {
        mirror = parts->after;
    }
    std::string host(mirror.substr(0, mirror.find('/')));
    if (plain) {
        options.insecure_registries.push_back(host);
    }
    return host;
}

} // namespace

Result<PulledImage> pull(
    std::stop_token stop,
    store::Store& store,
    const oci::Reference& reference,
    const PullOptions& options,
    const ProgressCallback& progress) {
    oci::Reference wanted = reference.with_default_tag();
    ProgressReporter reporter(progress);
    Pull operation(stop, store, wanted, options, reporter);
    if (wanted.registry() == "docker.io") {
        for (const std::string& mirror : options.mirrors) {
            ClientOptions client_options = options.client;
            client_options.credentials = {}; // they are the hub's, not the mirror's
            std::string host = mirror_host(mirror, client_options);
            auto pulled = operation.from(host, client_options);
            if (pulled.ok() || stop.stop_requested()) {
                return pulled;
            }
            log::debug(
                "a mirror does not give the image, ignoring",
                {{"mirror", mirror}, {"error", pulled.error().message()}});
        }
    }
    return operation.from(wanted.registry(), options.client);
}

} // namespace berth::registry
