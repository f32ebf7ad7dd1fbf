// SPDX-License-Identifier: Apache-2.0
// What an image archive has in it, read in one pass: documents are kept in memory, layers are
// unpacked before anything says which image they belong to: compressed ones in parallel, from the
// blobs that they are kept as, others while they stream by.
#pragma once

#include "base/worker_pool.h"
#include "codec/stream.h"
#include "codec/tar.h"
#include "store/archive.h"
#include "store/image_store.h"

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

namespace berth::store {

struct ArchiveLimits {
    static constexpr std::size_t entries = 100'000;
    static constexpr std::size_t document_bytes = 8U << 20;
    static constexpr std::size_t all_documents_bytes = 64U << 20;
};

class ArchiveContents {
  public:
    // All must outlive the object.
    ArchiveContents(
        std::stop_token stop,
        ImageStore& images,
        Lease& lease,
        const ArchiveProgressCallback& progress);

    // The whole tar, decompressed if need be.
    Result<void> read(ByteSource& archive);

    // nullptr when there is none of that name.
    const std::string* document(std::string_view name) const;

    // Whether there is a layer, good or bad, of that name.
    bool has_layer(const std::string& name) const;

    // Why what has this name is none: absent, or too large.
    Error no_document(const std::string& name) const;

    // The layer that the entry names[number] holds, on top of parent. InvalidArgument when there is
    // no such entry, or it is no layer, or another one than expected.
    Result<LayerInfo> publish(
        const oci::Digest& parent,
        const std::vector<std::string>& names,
        std::size_t number,
        const oci::Digest& expected_diff_id);

  private:
    struct Layer {
        std::optional<StagedLayer> staged; // none once published
        oci::Digest diff_id;
        std::optional<Error> error; // why it is no layer; reported only if an image wants it
    };

    Result<void> read_entry(tar::Reader& reader, const tar::Header& header);
    Result<void> read_document(ByteSource& data, const std::string& name);
    Result<void> read_layer(ByteSource& data, const std::string& name, std::uint64_t size);
    Result<std::optional<StagedLayer>>
    stage(ByteSource& data, const std::string& name, Layer& layer);
    Result<void> unpack_later(
        ByteSource& data,
        const std::optional<oci::Digest>& promised,
        std::string media_type,
        Layer& layer);
    Result<StagedLayer> unpack_blob(BlobWriter& writer, const std::string& media_type);
    Result<void> finish(Layer& layer, Result<StagedLayer> staged);
    Result<void> failure();
    std::string resolve(const std::string& name) const;
    bool is_known(const std::string& name) const;

    std::stop_token stop_;
    ImageStore& images_;
    Lease& lease_;
    const ArchiveProgressCallback& progress_;
    std::map<std::string, std::string, std::less<>> documents_;
    std::set<oci::Digest> known_;                  // diff ids of layers that were here before
    std::map<std::string, Layer> layers_;          // complete once unpackers_ is idle
    std::set<std::string, std::less<>> too_large_; // for documents, and no layers
    std::map<std::string, std::string> links_;
    std::size_t entries_ = 0;
    std::size_t documents_bytes_ = 0;
    std::mutex mutex_; // over the contents of layers_ and failure_, while unpackers_ work
    std::optional<Error> failure_; // of one that ends the whole
    WorkerPool unpackers_;         // last: its jobs use all of the above
};

} // namespace berth::store
