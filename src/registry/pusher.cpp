// SPDX-License-Identifier: Apache-2.0
// The order of events and words is that of moby's distribution/push_v2.go.
#include "registry/pusher.h"

#include "registry/progress_reporter.h"
#include "registry/stored_upload.h"
#include "store/image_choice.h"
#include "store/store.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace berth::registry {

namespace {

class Push {
  public:
    struct Job {
        store::Store& store;
        const oci::Reference& reference;
        const PushOptions& options;
    };

    Push(std::stop_token stop, Job job, ProgressReporter& reporter)
        : stop_(std::move(stop))
        , job_(job)
        , reporter_(reporter)
        , client_(
              job.reference.registry(), job.reference.path(), Action::Push, job.options.client) {}

    // Of one platform.
    Result<PushedImage> image(const store::Image& image);
    Result<PushedImage> index(store::Lease& lease, const store::ImageIndex& index);

  private:
    // What is being pushed: a manifest, and its image, unless it has none (an attestation).
    struct Content {
        const oci::Manifest& manifest;
        const store::Image* image;

        std::string short_id(std::size_t layer) const {
            return image == nullptr ? manifest.layers.at(layer).digest.short_id()
                                    : image->config.rootfs.diff_ids.at(layer).short_id();
        }
    };

    void announce(const Content& content);
    Result<void> push_content(const Content& content);
    Result<void> push_layers(const Content& content);
    void work(const Content& content, const std::stop_token& stop);
    Result<void>
    push_layer(const std::stop_token& stop, const Content& content, std::size_t number);
    Result<bool> mount(const std::stop_token& stop, const Content& content, std::size_t number);
    Result<void> push_config(const oci::Descriptor& config);
    Result<void> push_entry(store::Lease& lease, const store::IndexEntry& entry);
    Result<PushedImage> push_tag(const oci::Descriptor& descriptor, const std::string& bytes);
    Result<void> remember(const oci::Digest& image, const oci::Digest& pushed);

    std::stop_token stop_;
    Job job_;
    ProgressReporter& reporter_;
    Client client_;
    std::stop_source abort_;
    std::atomic<std::size_t> next_ = 0;
    std::mutex error_mutex_;
    std::optional<Error> error_;
};

void Push::announce(const Content& content) {
    const std::size_t count = content.manifest.layers.size();
    for (std::size_t i = count; i-- > 0;) {
        reporter_.state(content.short_id(i), "Preparing");
    }
    for (std::size_t i = count; i-- > 0;) {
        if (count - i > job_.options.max_concurrent) {
            reporter_.state(content.short_id(i), "Waiting");
        }
    }
}

// Where else on this registry the image came from or went to.
Result<bool> Push::mount(const std::stop_token& stop, const Content& content, std::size_t number) {
    std::vector<std::string> tried;
    if (content.image == nullptr) {
        return false;
    }
    for (const oci::Reference& other : content.image->repo_digests) {
        bool candidate = other.registry() == job_.reference.registry() &&
                         other.path() != job_.reference.path() &&
                         std::ranges::find(tried, other.path()) == tried.end();
        if (!candidate) {
            continue;
        }
        tried.push_back(other.path());
        if (TRY(client_.mount_blob(stop, content.manifest.layers[number].digest, other.path()))) {
            reporter_.state(content.short_id(number), "Mounted from " + other.path());
            return true;
        }
    }
    return false;
}

Result<void>
Push::push_layer(const std::stop_token& stop, const Content& content, std::size_t number) {
    const oci::Descriptor& layer = content.manifest.layers[number];
    const std::string id = content.short_id(number);
    if (oci::media_type::is_foreign_layer(layer.media_type)) {
        reporter_.state(id, "Skipped foreign layer");
        return ok();
    }
    if (TRY(client_.has_blob(stop, layer.digest))) {
        reporter_.state(id, "Layer already exists");
        return ok();
    }
    if (TRY(mount(stop, content, number))) {
        return ok();
    }
    TransferProgress transfer(reporter_, id, "Pushing", layer.size);
    TRY(upload_stored_blob(stop, client_, job_.store.blobs(), layer, [&](std::uint64_t bytes) {
        transfer.update(bytes);
    }));
    reporter_.state(id, "Pushed");
    return ok();
}

void Push::work(const Content& content, const std::stop_token& stop) {
    const std::size_t count = content.manifest.layers.size();
    for (std::size_t i = next_++; i < count; i = next_++) {
        auto outcome = push_layer(stop, content, count - 1 - i); // newest first, as Docker does
        if (!outcome.ok()) {
            std::lock_guard lock(error_mutex_);
            if (!error_) {
                error_ = std::move(outcome).error();
            }
            abort_.request_stop();
            return;
        }
    }
}

Result<void> Push::push_layers(const Content& content) {
    if (content.image != nullptr &&
        content.manifest.layers.size() != content.image->config.rootfs.diff_ids.size()) {
        return internal_error("the manifest to push has other layers than its configuration");
    }
    announce(content);
    std::stop_callback forward(stop_, [this] { abort_.request_stop(); });
    next_ = 0;
    std::vector<std::jthread> threads;
    const std::size_t count = std::min(
        std::max<std::size_t>(job_.options.max_concurrent, 1), content.manifest.layers.size());
    for (std::size_t i = 0; i < count; ++i) {
        threads.emplace_back([&, token = abort_.get_token()] { work(content, token); });
    }
    threads.clear(); // joins
    return error_ ? Result<void>(*error_) : ok();
}

Result<void> Push::push_config(const oci::Descriptor& config) {
    if (TRY(client_.has_blob(stop_, config.digest))) {
        return ok();
    }
    return upload_stored_blob(stop_, client_, job_.store.blobs(), config, nullptr);
}

Result<void> Push::push_content(const Content& content) {
    TRY(push_layers(content));
    return push_config(content.manifest.config);
}

Result<PushedImage> Push::push_tag(const oci::Descriptor& descriptor, const std::string& bytes) {
    const std::string& tag = job_.reference.tag();
    TRY(client_.put_manifest(stop_, tag, descriptor.media_type, bytes));
    PushedImage pushed{.digest = descriptor.digest, .size = bytes.size()};
    reporter_.message(
        tag + ": digest: " + pushed.digest.to_string() + " size: " + std::to_string(pushed.size));
    reporter_.send(
        {.aux = json::Object{
             {"Tag", tag}, {"Digest", pushed.digest.to_string()}, {"Size", pushed.size}}});
    return pushed;
}

Result<void> Push::remember(const oci::Digest& image, const oci::Digest& pushed) {
    return job_.store.images().add_repo_digest(
        image, job_.reference.without_tag_and_digest().with_digest(pushed));
}

Result<PushedImage> Push::image(const store::Image& image) {
    TRY(client_.ping(stop_));
    store::Lease lease = job_.store.images().lease();
    const store::PushableManifest manifest =
        TRY(job_.store.images().manifest_for_push(lease, image.id));
    TRY(push_content({.manifest = manifest.manifest, .image = &image}));
    const auto pushed = TRY(push_tag(manifest.descriptor, manifest.bytes));
    TRY(remember(image.id, pushed.digest));
    return pushed;
}

Result<void> Push::push_entry(store::Lease& lease, const store::IndexEntry& entry) {
    store::ImageStore& images = job_.store.images();
    const auto manifest =
        TRY(images.whole_manifest(lease, entry.descriptor.digest, entry.descriptor.media_type));
    if (!manifest) {
        return not_found("manifest " + entry.descriptor.digest.to_string() + " has gone meanwhile");
    }
    std::optional<store::Image> image;
    if (!entry.image.empty()) {
        image = TRY(images.get(entry.image));
        const std::string_view algorithm = manifest->manifest.config.digest.algorithm();
        TRY(job_.store.blobs().put(lease, image->config_json, algorithm));
    }
    TRY(push_content({.manifest = manifest->manifest, .image = image ? &*image : nullptr}));
    return client_.put_manifest(
        stop_, entry.descriptor.digest.to_string(), entry.descriptor.media_type, manifest->bytes);
}

Result<PushedImage> Push::index(store::Lease& lease, const store::ImageIndex& index) {
    TRY(client_.ping(stop_));
    for (const store::IndexEntry& entry : index.entries) {
        TRY(push_entry(lease, entry));
    }
    // What an index names has to be there before it: the outermost one comes last.
    for (std::size_t i = index.documents.size(); i-- > 1;) {
        const store::IndexDocument& document = index.documents[i];
        TRY(client_.put_manifest(
            stop_,
            document.descriptor.digest.to_string(),
            document.descriptor.media_type,
            document.bytes));
    }
    const store::IndexDocument& outermost = index.documents.front();
    const auto pushed = TRY(push_tag(outermost.descriptor, outermost.bytes));
    for (const store::IndexEntry& entry : index.entries) {
        if (!entry.image.empty()) {
            TRY(remember(entry.image, pushed.digest));
        }
    }
    return pushed;
}

// Which image of a name that stands for several, as moby daemon/containerd/image_push.go has it.
Result<store::Image> choose_image(
    const store::ImageStore& images, const oci::Reference& reference, const PushOptions& options) {
    const std::vector<store::Image> found = TRY(images.platforms(reference.familiar()));
    const store::Image* best =
        store::best_for(found, options.platform.value_or(oci::Platform::host()));
    if (best != nullptr) {
        return *best;
    }
    if (options.platform) {
        return not_found(
            "image with reference " + reference.familiar() +
            " was found but does not provide the specified platform (" +
            options.platform->to_string() + ")");
    }
    if (found.size() > 1) {
        return conflict("multiple matching manifests found but no specific platform requested");
    }
    return found.front();
}

// What Docker's client says a note about.
void tell_manifest_instead(
    ProgressReporter& reporter, const store::ImageIndex& index, const store::Image& image) {
    for (const store::IndexEntry& entry : index.entries) {
        if (entry.image == image.id) {
            reporter.send(
                {.aux = json::Object{
                     {"manifestPushedInsteadOfIndex", true},
                     {"originalIndex", json::encode(index.documents.front().descriptor)},
                     {"selectedManifest", json::encode(entry.descriptor)}}});
        }
    }
}

// moby: "An image does not exist locally with the tag: x" when nothing has that name at all.
Result<store::Image> find_image(store::Store& store, const oci::Reference& reference) {
    auto image = store.images().get(reference.familiar());
    if (image.ok() || image.error().kind() != ErrorKind::NotFound) {
        return image;
    }
    for (const store::Image& other : TRY(store.images().list())) {
        for (const oci::Reference& name : other.names) {
            if (name.name() == reference.name()) {
                return not_found("tag does not exist: " + reference.familiar());
            }
        }
    }
    return not_found("An image does not exist locally with the tag: " + reference.familiar_name());
}

} // namespace

Result<PushedImage> push(
    std::stop_token stop,
    store::Store& store,
    const oci::Reference& reference,
    const PushOptions& options,
    const ProgressCallback& progress) {
    oci::Reference wanted = reference.with_default_tag();
    ProgressReporter reporter(progress);
    if (options.say_repository) {
        reporter.message("The push refers to repository [" + wanted.name() + "]");
    }
    TRY(find_image(store, wanted));
    Push operation(stop, {.store = store, .reference = wanted, .options = options}, reporter);
    store::Lease lease = store.images().lease();
    const auto index = TRY(store.images().index(lease, wanted.familiar()));
    if (index && index->complete && !options.platform) {
        return operation.index(lease, *index);
    }
    const store::Image image = TRY(choose_image(store.images(), wanted, options));
    auto pushed = TRY(operation.image(image));
    if (index && !options.platform) {
        tell_manifest_instead(reporter, *index, image);
    }
    return pushed;
}

} // namespace berth::registry
