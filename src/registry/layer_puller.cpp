// SPDX-License-Identifier: Apache-2.0
// Threads take layers in the manifest's order; the calling thread publishes what is ready.
#include "registry/layer_puller.h"

#include "codec/compression.h"
#include "codec/null_sink.h"
#include "codec/sha256.h"

#include <algorithm>
#include <thread>

namespace berth::registry {

LayerPuller::LayerPuller(Job job, ProgressReporter& reporter)
    : job_(job)
    , reporter_(reporter) {
    oci::Digest parent;
    for (std::size_t i = 0; i < job_.manifest.layers.size(); ++i) {
        Layer layer;
        layer.descriptor = job_.manifest.layers[i];
        layer.diff_id = job_.config.rootfs.diff_ids[i];
        layer.chain_id = oci::chain_id(parent, layer.diff_id);
        layer.parent = parent;
        layer.short_id = layer.descriptor.digest.short_id();
        parent = layer.chain_id;
        layers_.push_back(std::move(layer));
    }
}

Result<void> LayerPuller::look() {
    for (Layer& layer : layers_) {
        // First the lease, then the question: what is there cannot vanish then.
        job_.lease.add_layer(layer.chain_id);
        job_.lease.add_blob(layer.descriptor.digest);
        layer.present = job_.store.layers().contains(layer.chain_id);
        const auto blobs = TRY(job_.store.layers().blobs(layer.diff_id));
        layer.kept = oci::media_type::is_foreign_layer(layer.descriptor.media_type) ||
                     std::ranges::any_of(blobs, [&](const store::LayerBlob& blob) {
                         return blob.digest == layer.descriptor.digest;
                     });
    }
    return ok();
}

bool LayerPuller::is_complete() const {
    return std::ranges::all_of(
        layers_, [](const Layer& layer) { return layer.present && layer.kept; });
}

void LayerPuller::announce() {
    std::size_t wanted = 0;
    for (const Layer& layer : layers_) {
        const bool here = layer.present && layer.kept;
        reporter_.state(layer.short_id, here ? "Already exists" : "Pulling fs layer");
    }
    for (const Layer& layer : layers_) {
        if (!(layer.present && layer.kept) && ++wanted > job_.max_concurrent) {
            reporter_.state(layer.short_id, "Waiting");
        }
    }
}

LayerPuller::Layer* LayerPuller::next_wanted() {
    std::lock_guard lock(mutex_);
    while (next_ < layers_.size() && layers_[next_].present && layers_[next_].kept) {
        ++next_;
    }
    return next_ < layers_.size() && !error_ ? &layers_[next_++] : nullptr;
}

void LayerPuller::fail(Error error) {
    {
        std::lock_guard lock(mutex_);
        if (!error_) {
            error_ = std::move(error);
        }
    }
    abort_.request_stop();
    changed_.notify_all();
}

Result<store::StagedLayer> LayerPuller::unpack(ByteSource& blob, const Layer& layer) {
    auto tar = TRY(compression::Decompressor::create(blob, job_.store.layers().limits()));
    return job_.store.layers().stage(job_.lease, *tar, {.expected_diff_id = layer.diff_id});
}

// The blob is here already: an earlier pull was stopped before the layer was unpacked.
Result<store::StagedLayer> LayerPuller::stage_blob(const std::stop_token& stop, Layer& layer) {
    FdSource blob(TRY(job_.store.blobs().open_blob(layer.descriptor.digest)));
    WatchedSource watched(
        blob,
        stop,
        TransferProgress(reporter_, layer.short_id, "Extracting", layer.descriptor.size));
    return unpack(watched, layer);
}

namespace {

// What lies there for the next pull must not keep a full disk full.
void give_room(const Error& error, store::BlobWriter& writer) {
    if (error.kind() == ErrorKind::ResourceExhausted) {
        (void)writer.reset();
    }
}

} // namespace

// Goes on where an earlier pull broke off, unless another pull has that partial download.
Result<store::BlobWriter> LayerPuller::writer_for(const Layer& layer) {
    store::BlobStore& blobs = job_.store.blobs();
    const store::BlobOptions options{
        .expected = layer.descriptor.digest,
        .expected_size = static_cast<std::uint64_t>(layer.descriptor.size)};
    auto resumed = blobs.resume(job_.lease, layer.descriptor.digest, options);
    return resumed.ok() ? std::move(resumed) : blobs.writer(job_.lease, options);
}

// What the writer does not have yet, into the store alone.
Result<void>
LayerPuller::download(const std::stop_token& stop, const Layer& layer, store::BlobWriter& writer) {
    auto source = TRY(job_.client.open_blob(stop, layer.descriptor, writer.offset()));
    WatchedSource watched(
        *source,
        stop,
        TransferProgress(reporter_, layer.short_id, "Downloading", layer.descriptor.size),
        writer.offset());
    if (auto copied = copy(watched, writer); !copied.ok()) {
        give_room(copied.error(), writer);
        return std::move(copied).error();
    }
    TRY(writer.commit());
    reporter_.state(layer.short_id, "Download complete");
    return ok();
}

Result<store::StagedLayer> LayerPuller::stage_download(const std::stop_token& stop, Layer& layer) {
    store::BlobWriter writer = TRY(writer_for(layer));
    if (writer.offset() > 0) {
        TRY(download(stop, layer, writer));
        return stage_blob(stop, layer);
    }
    auto source = TRY(job_.client.open_blob(stop, layer.descriptor));
    WatchedSource watched(
        *source,
        stop,
        TransferProgress(reporter_, layer.short_id, "Downloading", layer.descriptor.size));
    store::BlobTee tee(watched, writer);
    auto staged = unpack(tee, layer);
    if (!staged.ok() && staged.error().kind() != ErrorKind::DataLoss) {
        give_room(staged.error(), writer);
        return staged;
    }
    // A damaged download shows as a broken archive first; its digest is the better explanation.
    watched.silence();
    reporter_.state(layer.short_id, "Verifying Checksum");
    TRY(tee.finish());
    reporter_.state(layer.short_id, "Download complete");
    return staged;
}

// The blob of a layer that is here. That it is this layer's nobody has seen yet.
Result<void> LayerPuller::fetch_blob(const std::stop_token& stop, const Layer& layer) {
    if (!job_.store.blobs().contains(layer.descriptor.digest)) {
        store::BlobWriter writer = TRY(writer_for(layer));
        TRY(download(stop, layer, writer));
    }
    FdSource blob(TRY(job_.store.blobs().open_blob(layer.descriptor.digest)));
    WatchedSource watched(
        blob,
        stop,
        TransferProgress(reporter_, layer.short_id, "Extracting", layer.descriptor.size));
    auto tar = TRY(compression::Decompressor::create(watched, job_.store.layers().limits()));
    HashingSource hashed(*tar);
    NullSink nowhere;
    TRY(copy(hashed, nowhere));
    if (TRY(oci::Digest::from_sha256_hex(hashed.finish_hex())) != layer.diff_id) {
        return Error(
            ErrorKind::DataLoss,
            "layer " + layer.descriptor.digest.to_string() + " does not match digest " +
                layer.diff_id.to_string());
    }
    TRY(remember_blob(layer));
    reporter_.state(layer.short_id, "Pull complete");
    return ok();
}

Result<void> LayerPuller::remember_blob(const Layer& layer) {
    return job_.store.layers().set_blob(
        layer.diff_id,
        {.digest = layer.descriptor.digest,
         .size = static_cast<std::uint64_t>(layer.descriptor.size),
         .media_type = layer.descriptor.media_type});
}

Result<void> LayerPuller::stage(const std::stop_token& stop, Layer& layer) {
    if (layer.present) {
        return fetch_blob(stop, layer);
    }
    bool here = job_.store.blobs().contains(layer.descriptor.digest);
    store::StagedLayer staged = TRY(here ? stage_blob(stop, layer) : stage_download(stop, layer));
    TRY(remember_blob(layer));
    TransferProgress(reporter_, layer.short_id, "Extracting", layer.descriptor.size)
        .report(static_cast<std::uint64_t>(layer.descriptor.size));
    {
        std::lock_guard lock(mutex_);
        layer.staged = std::move(staged);
    }
    changed_.notify_all();
    return ok();
}

void LayerPuller::work(const std::stop_token& stop) {
    while (Layer* layer = next_wanted()) {
        if (auto outcome = stage(stop, *layer); !outcome.ok()) {
            fail(std::move(outcome).error());
            return;
        }
    }
}

Result<void> LayerPuller::publish_all() {
    for (Layer& layer : layers_) {
        if (layer.present) {
            continue;
        }
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return layer.staged.has_value() || error_.has_value(); });
        if (error_) {
            return *error_;
        }
        store::StagedLayer staged = std::move(*layer.staged);
        lock.unlock();
        TRY(job_.store.layers().publish(job_.lease, layer.parent, std::move(staged)));
        reporter_.state(layer.short_id, "Pull complete");
    }
    return ok();
}

Result<void> LayerPuller::run(const std::stop_token& stop) {
    announce();
    const auto wanted = static_cast<std::size_t>(std::ranges::count_if(
        layers_, [](const Layer& layer) { return !layer.present || !layer.kept; }));
    std::stop_callback forward(stop, [this] { abort_.request_stop(); });
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min(std::max<std::size_t>(job_.max_concurrent, 1), wanted);
         ++i) {
        threads.emplace_back([this, token = abort_.get_token()] { work(token); });
    }
    auto published = publish_all();
    if (!published.ok()) {
        fail(published.error());
    }
    threads.clear(); // joins
    TRY(std::move(published));
    return error_ ? Result<void>(*error_) : ok();
}

} // namespace berth::registry
