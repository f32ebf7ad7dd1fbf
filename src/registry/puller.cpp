// SPDX-License-Identifier: Apache-2.0
// The order of events and words is that of moby's distribution/pull_v2.go.
#include "registry/puller.h"

#include "base/log.h"
#include "registry/image_fetch.h"
#include "registry/layer_puller.h"
#include "registry/progress_reporter.h"
#include "store/store.h"

#include <algorithm>
#include <span>

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

    Result<PulledImage> from(const RegistryHost& host, std::span<const RegistryHost> all);

  private:
    Client client_for(const RegistryHost& host) const;
    Result<std::string> name_at(const RegistryHost& host, std::span<const RegistryHost> all);
    Result<PulledImage> keep(const ImageDocuments& documents, const FetchedConfig& config);

    std::stop_token stop_;
    store::Store& store_;
    const oci::Reference& reference_;
    const PullOptions& options_;
    ProgressReporter& reporter_;
};

Client Pull::client_for(const RegistryHost& host) const {
    ClientOptions options = options_.client;
    options.host = host;
    if (!host.is_registry) {
        options.credentials = {}; // they are the registry's, not the mirror's
    }
    return Client(reference_.registry(), reference_.path(), Action::Pull, std::move(options));
}

// What to ask a host for: a mirror that may not resolve tags is asked for the digest that another
// host gave.
Result<std::string> Pull::name_at(const RegistryHost& host, std::span<const RegistryHost> all) {
    if (reference_.has_digest()) {
        return reference_.digest().to_string();
    }
    if (host.can_resolve) {
        return reference_.tag();
    }
    for (const RegistryHost& other : all) {
        if (!other.can_resolve) {
            continue;
        }
        auto found = client_for(other).find_manifest(stop_, reference_.tag());
        if (found.ok() && *found) {
            return (*found)->digest.to_string();
        }
    }
    return not_found("no host resolves the tag " + reference_.tag());
}

Result<PulledImage> Pull::from(const RegistryHost& host, std::span<const RegistryHost> all) {
    Client client = client_for(host);
    TRY(client.ping(stop_));
    std::string name = reference_.has_digest() ? reference_.digest().to_string() : reference_.tag();
    auto name_there = TRY(name_at(host, all));
    ImageDocuments documents = TRY(fetch_documents(
        stop_, client, reference_, {.name = std::move(name_there), .platform = options_.platform}));
    reporter_.state(name, "Pulling from " + reference_.path());
    store::Lease lease = store_.images().lease();
    FetchedConfig config = TRY(fetch_config(stop_, client, store_, lease, documents.parsed));
    auto existing = TRY(store_.images().find(documents.parsed.config.digest.to_string()));
    LayerPuller layers(
        LayerPuller::Job{
            .client = client,
            .store = store_,
            .lease = lease,
            .manifest = documents.parsed,
            .config = config.parsed,
            .max_concurrent = options_.max_concurrent},
        reporter_);
    TRY(layers.look());
    if (!existing || !layers.is_complete()) {
        TRY(layers.run(stop_));
    }
    return keep(documents, config);
}

Result<PulledImage> Pull::keep(const ImageDocuments& documents, const FetchedConfig& config) {
    std::vector<store::Image> before;
    if (TRY(store_.images().find(reference_.familiar()))) {
        before = TRY(store_.images().platforms(reference_.familiar()));
    }
    store::NewImage image;
    image.config_json = config.bytes;
    image.manifest = documents.manifest.bytes;
    image.manifest_type = documents.manifest.descriptor.media_type;
    image.indexes = documents.indexes;
    if (!reference_.has_digest()) {
        image.names.push_back(reference_);
    }
    image.repo_digests.push_back(
        reference_.without_tag_and_digest().with_digest(documents.named_digest));
    store::Image stored = TRY(store_.images().create(image));
    reporter_.message("Digest: " + documents.named_digest.to_string());
    const bool newer =
        std::none_of(before.begin(), before.end(), [&](const store::Image& image_before) {
            return image_before.id == stored.id;
        });
    if (options_.say_status) {
        reporter_.message(pull_status(newer, reference_));
    }
    return PulledImage{.id = stored.id, .digest = documents.named_digest, .newer = newer};
}

} // namespace

std::string pull_status(bool newer, const oci::Reference& reference) {
    return (newer ? "Status: Downloaded newer image for " : "Status: Image is up to date for ") +
           reference.familiar();
}

Result<PulledImage> pull(
    std::stop_token stop,
    store::Store& store,
    const oci::Reference& reference,
    const PullOptions& options,
    const ProgressCallback& progress) {
    oci::Reference wanted = reference.with_default_tag();
    ProgressReporter reporter(progress);
    const auto hosts = TRY(registry_hosts(wanted.registry(), options.client.hosts));
    Pull operation(stop, store, wanted, options, reporter);
    // What the registry itself says is the error, not what one of its mirrors does.
    for (std::size_t i = 0; i + 1 < hosts.size(); ++i) {
        if (!hosts[i].can_pull) {
            continue;
        }
        auto pulled = operation.from(hosts[i], hosts);
        if (pulled.ok() || stop.stop_requested()) {
            return pulled;
        }
        log::debug(
            "a mirror does not give the image, ignoring",
            {{"mirror", hosts[i].bases[0].url}, {"error", pulled.error().message()}});
    }
    return operation.from(hosts.back(), hosts);
}

} // namespace berth::registry
