// SPDX-License-Identifier: Apache-2.0
// docker system df: what layers and blobs take on disk, and which part of it each image shares with
// others.
#include "store/image_store.h"

#include <map>
#include <set>

namespace berth::store {

namespace {

struct Content {
    std::uint64_t size = 0;
    std::size_t users = 0; // images
};

// Everything that one image keeps: its configuration and manifest, its layers with their parents,
// and those layers' blobs.
class Reach {
  public:
    Reach(const std::vector<LayerInfo>& layers, LayerStore& store)
        : store_(store) {
        for (const LayerInfo& layer : layers) {
            layers_.emplace(layer.chain_id, &layer);
        }
    }

    Result<std::set<ContentKey>> of(const oci::Digest& chain_id) {
        std::set<ContentKey> keys;
        for (auto layer = layers_.find(chain_id); layer != layers_.end();
             layer = layers_.find(layer->second->parent)) {
            keys.insert({ContentKind::Layer, layer->first});
            for (const LayerBlob& blob : TRY(blobs_of(layer->second->diff_id))) {
                keys.insert({ContentKind::Blob, blob.digest});
            }
        }
        return keys;
    }

  private:
    Result<std::vector<LayerBlob>> blobs_of(const oci::Digest& diff_id) {
        auto known = blobs_.find(diff_id);
        if (known == blobs_.end()) {
            known = blobs_.emplace(diff_id, TRY(store_.blobs(diff_id))).first;
        }
        return known->second;
    }

    LayerStore& store_;
    std::map<oci::Digest, const LayerInfo*> layers_;
    std::map<oci::Digest, std::vector<LayerBlob>> blobs_;
};

struct Row {
    oci::Digest id;
    std::string manifest;
    std::string chain_id;
};

Result<std::vector<Row>> image_rows(Database& database) {
    std::vector<Row> rows;
    Session session = database.session();
    Statement query = TRY(session.prepare("SELECT id, manifest, chain_id FROM images"));
    while (TRY(query.step())) {
        Row row;
        row.id = TRY(oci::Digest::parse(query.text(0)));
        row.manifest = query.text_copy(1);
        row.chain_id = query.text_copy(2);
        rows.push_back(std::move(row));
    }
    return rows;
}

} // namespace

Result<DiskUsage> ImageStore::disk_usage() const {
    DiskUsage usage;
    std::map<ContentKey, Content> contents;
    const std::vector<LayerInfo> layers = TRY(layers_.list());
    for (const LayerInfo& layer : layers) {
        const std::uint64_t size = layers_.size_on_disk(layer);
        usage.layers_size += size;
        contents[{ContentKind::Layer, layer.chain_id}].size = size;
    }
    for (const BlobInfo& blob : TRY(blobs_.list())) {
        usage.blobs_size += blob.size;
        contents[{ContentKind::Blob, blob.digest}].size = blob.size;
    }
    Reach reach(layers, layers_);
    std::vector<std::set<ContentKey>> keys;
    const std::vector<Row> rows = TRY(image_rows(database_));
    for (const Row& row : rows) {
        std::set<ContentKey> own;
        if (!row.chain_id.empty()) {
            const oci::Digest chain = TRY(oci::Digest::parse(row.chain_id));
            own = TRY(reach.of(chain));
        }
        own.insert({ContentKind::Blob, row.id});
        if (!row.manifest.empty()) {
            const oci::Digest manifest = TRY(oci::Digest::parse(row.manifest));
            own.insert({ContentKind::Blob, manifest});
        }
        for (const ContentKey& key : own) {
            ++contents[key].users;
        }
        keys.push_back(std::move(own));
    }
    for (const auto& [key, content] : contents) {
        if (content.users == 0) {
            usage.others.emplace(key, content.size);
        }
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        ImageUsage image{.id = rows[i].id};
        for (const ContentKey& key : keys[i]) {
            const Content& content = contents[key];
            image.size += content.size;
            image.shared_size += content.users > 1 ? content.size : 0;
        }
        usage.images.push_back(std::move(image));
    }
    return usage;
}

} // namespace berth::store
