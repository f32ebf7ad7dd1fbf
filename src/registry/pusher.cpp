// SPDX-License-Identifier: Apache-2.0
// The order of events and words is that of moby's distribution/push_v2.go.
#include "registry/pusher.h"

#include "registry/progress_reporter.h"
#include "store/blob_check.h"
#include "store/store.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <unistd.h>

namespace berth::registry {

namespace {

class Push {
  public:
    struct Job {
        store::Store& store;
        const oci::Reference& reference;
        const store::Image& image;
        const PushOptions& options;
    };

    Push(std::stop_token stop, Job job, ProgressReporter& reporter)
        : stop_(std::move(stop))
        , job_(job)
        , reporter_(reporter)
        , client_(
              job.reference.registry(), job.reference.path(), Action::Push, job.options.client) {}

    Result<PushedImage> run();

  private:
    void announce();
    std::string short_id(std::size_t layer) const;
    Result<void> push_layers(const oci::Manifest& manifest);
    void work(const oci::Manifest& manifest, const std::stop_token& stop);
    Result<void>
    push_layer(const std::stop_token& stop, const oci::Descriptor& layer, const std::string& id);
    Result<bool>
    mount(const std::stop_token& stop, const oci::Descriptor& layer, const std::string& id);
    Result<void> push_config(const oci::Descriptor& config);
    Result<void>
    upload(const std::stop_token& stop, const oci::Descriptor& blob, const Client::Sent& sent);
    Result<PushedImage> push_manifest(const store::PushableManifest& manifest);

    std::stop_token stop_;
    Job job_;
    ProgressReporter& reporter_;
    Client client_;
    std::stop_source abort_;
    std::atomic<std::size_t> next_ = 0;
    std::mutex error_mutex_;
    std::optional<Error> error_;
};

std::string Push::short_id(std::size_t layer) const {
    return job_.image.config.rootfs.diff_ids.at(layer).short_id();
}

void Push::announce() {
    std::size_t count = job_.image.config.rootfs.diff_ids.size();
    for (std::size_t i = count; i-- > 0;) {
        reporter_.state(short_id(i), "Preparing");
    }
    for (std::size_t i = count; i-- > 0;) {
        if (count - i > job_.options.max_concurrent) {
            reporter_.state(short_id(i), "Waiting");
        }
    }
}

Result<void>
Push::upload(const std::stop_token& stop, const oci::Descriptor& blob, const Client::Sent& sent) {
    store::BlobStore& blobs = job_.store.blobs();
    auto open = [&](std::uint64_t offset) -> Result<std::unique_ptr<ByteSource>> {
        UniqueFd file = TRY(blobs.open_blob(blob.digest));
        if (::lseek(file.get(), static_cast<off_t>(offset), SEEK_SET) < 0) {
            return errno_error("seek in blob " + blob.digest.to_string());
        }
        return std::unique_ptr<ByteSource>(std::make_unique<FdSource>(std::move(file)));
    };
    auto outcome = client_.upload_blob(stop, blob, open, sent);
    // A registry that refuses the bytes may be right.
    if (!outcome.ok() && outcome.error().kind() == ErrorKind::InvalidArgument) {
        TRY(store::verify_blob(blobs, blob.digest));
    }
    return outcome;
}

// Where else on this registry the image came from or went to.
Result<bool>
Push::mount(const std::stop_token& stop, const oci::Descriptor& layer, const std::string& id) {
    std::vector<std::string> tried;
    for (const oci::Reference& other : job_.image.repo_digests) {
        bool candidate = other.registry() == job_.reference.registry() &&
                         other.path() != job_.reference.path() &&
                         std::ranges::find(tried, other.path()) == tried.end();
        if (!candidate) {
            continue;
        }
        tried.push_back(other.path());
        if (TRY(client_.mount_blob(stop, layer.digest, other.path()))) {
            reporter_.state(id, "Mounted from " + other.path());
            return true;
        }
    }
    return false;
}

Result<void>
Push::push_layer(const std::stop_token& stop, const oci::Descriptor& layer, const std::string& id) {
    if (TRY(client_.has_blob(stop, layer.digest))) {
        reporter_.state(id, "Layer already exists");
        return ok();
    }
    if (TRY(mount(stop, layer, id))) {
        return ok();
    }
    TransferProgress transfer(reporter_, id, "Pushing", layer.size);
    TRY(upload(stop, layer, [&](std::uint64_t bytes) { transfer.update(bytes); }));
    reporter_.state(id, "Pushed");
    return ok();
}

void Push::work(const oci::Manifest& manifest, const std::stop_token& stop) {
    std::size_t count = manifest.layers.size();
    for (std::size_t i = next_++; i < count; i = next_++) {
        std::size_t layer = count - 1 - i; // the newest first, as Docker does
        if (oci::media_type::is_foreign_layer(manifest.layers[layer].media_type)) {
            reporter_.state(short_id(layer), "Skipped foreign layer");
            continue;
        }
        auto outcome = push_layer(stop, manifest.layers[layer], short_id(layer));
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

Result<void> Push::push_layers(const oci::Manifest& manifest) {
    if (manifest.layers.size() != job_.image.config.rootfs.diff_ids.size()) {
        return internal_error("the manifest to push has other layers than its configuration");
    }
    std::stop_callback forward(stop_, [this] { abort_.request_stop(); });
    std::vector<std::jthread> threads;
    std::size_t count =
        std::min(std::max<std::size_t>(job_.options.max_concurrent, 1), manifest.layers.size());
    for (std::size_t i = 0; i < count; ++i) {
        threads.emplace_back([&, token = abort_.get_token()] { work(manifest, token); });
    }
    threads.clear(); // joins
    return error_ ? Result<void>(*error_) : ok();
}

Result<void> Push::push_config(const oci::Descriptor& config) {
    if (TRY(client_.has_blob(stop_, config.digest))) {
        return ok();
    }
    return upload(stop_, config, nullptr);
}

Result<PushedImage> Push::push_manifest(const store::PushableManifest& manifest) {
    const std::string& tag = job_.reference.tag();
    TRY(client_.put_manifest(stop_, tag, manifest.descriptor.media_type, manifest.bytes));
    PushedImage pushed{.digest = manifest.descriptor.digest, .size = manifest.bytes.size()};
    TRY(job_.store.images().add_repo_digest(
        job_.image.id, job_.reference.without_tag_and_digest().with_digest(pushed.digest)));
    reporter_.message(
        tag + ": digest: " + pushed.digest.to_string() + " size: " + std::to_string(pushed.size));
    reporter_.send(
        {.aux = json::Object{
             {"Tag", tag}, {"Digest", pushed.digest.to_string()}, {"Size", pushed.size}}});
    return pushed;
}

Result<PushedImage> Push::run() {
    TRY(client_.ping(stop_));
    announce();
    store::Lease lease = job_.store.images().lease();
    store::PushableManifest manifest =
        TRY(job_.store.images().manifest_for_push(lease, job_.image.id));
    TRY(push_layers(manifest.manifest));
    TRY(push_config(manifest.manifest.config));
    return push_manifest(manifest);
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
    store::Image image = TRY(find_image(store, wanted));
    Push operation(
        stop, {.store = store, .reference = wanted, .image = image, .options = options}, reporter);
    return operation.run();
}

} // namespace berth::registry
