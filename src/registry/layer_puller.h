// SPDX-License-Identifier: Apache-2.0
// The layers of one image, several at a time: each is downloaded, verified, kept, decompressed and
// unpacked as one stream; they are published from the base up. Of a layer that is here already, but
// not as this blob, the blob alone is fetched: the image can be pushed on bit for bit. Internal to
// the puller.
#pragma once

#include "base/result.h"
#include "oci/image_config.h"
#include "oci/manifest.h"
#include "registry/client.h"
#include "registry/progress_reporter.h"
#include "store/store.h"

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::registry {

class LayerPuller {
  public:
    struct Job {
        Client& client;
        store::Store& store;
        store::Lease& lease;
        const oci::Manifest& manifest;
        const oci::ImageConfig& config;
        std::size_t max_concurrent;
    };

    LayerPuller(Job job, ProgressReporter& reporter);

    // REQUIRES: called once, before the others. What of it is here stays now.
    Result<void> look();

    // Whether all is here, blobs and layers.
    bool is_complete() const;

    // The first error stops all threads.
    Result<void> run(const std::stop_token& stop);

  private:
    struct Layer {
        oci::Descriptor descriptor;
        oci::Digest diff_id;
        oci::Digest chain_id;
        oci::Digest parent;
        std::string short_id;
        bool present = false; // the layer
        bool kept = false;    // the blob, and it is known to be the layer
        std::optional<store::StagedLayer> staged;
    };

    void announce();
    void work(const std::stop_token& stop);
    Layer* next_wanted();
    Result<void> stage(const std::stop_token& stop, Layer& layer);
    Result<store::StagedLayer> stage_download(const std::stop_token& stop, Layer& layer);
    Result<store::StagedLayer> stage_blob(const std::stop_token& stop, Layer& layer);
    Result<store::BlobWriter> writer_for(const Layer& layer);
    Result<void>
    download(const std::stop_token& stop, const Layer& layer, store::BlobWriter& writer);
    Result<void> fetch_blob(const std::stop_token& stop, const Layer& layer);
    Result<void> remember_blob(const Layer& layer);
    Result<store::StagedLayer> unpack(ByteSource& blob, const Layer& layer);
    Result<void> publish_all();
    void fail(Error error);

    Job job_;
    ProgressReporter& reporter_;
    std::vector<Layer> layers_;
    std::stop_source abort_;

    std::mutex mutex_; // guards all below and Layer::staged
    std::condition_variable changed_;
    std::size_t next_ = 0;
    std::optional<Error> error_;
};

} // namespace berth::registry
