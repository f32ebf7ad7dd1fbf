// SPDX-License-Identifier: Apache-2.0
// Images by the digest of their configuration, and the names that point at them. Manifests and
// configurations are kept as the bytes they came as, so that an image that was pulled is pushed
// back bit for bit.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "oci/descriptor.h"
#include "oci/digest.h"
#include "oci/image_config.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "store/blob_store.h"
#include "store/database.h"
#include "store/layer_store.h"
#include "store/lease.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::store {

struct Image {
    oci::Digest id;
    std::string config_json; // the bytes that hash to id
    oci::ImageConfig config;
    oci::Digest chain_id;                     // empty: no layers
    std::uint64_t size = 0;                   // of all layers
    std::vector<oci::Reference> names;        // with tags, sorted
    std::vector<oci::Reference> repo_digests; // name@manifest digest, sorted
    // Names that mean this image only where its platform is asked for, sorted.
    std::vector<oci::Reference> platform_names;
    oci::Digest parent; // the image that this one was built on here
    Timestamp tagged;   // last time that it got a name; zero: never
    Timestamp stored;
};

// An index, as it came.
struct IndexDocument {
    oci::Descriptor descriptor; // media type, digest and size
    std::string bytes;
};

struct NewImage {
    std::string config_json;
    // The manifest that it was pulled with: bytes and media type. Its layer blobs need not be
    // there.
    std::string manifest;
    std::string manifest_type;
    oci::Digest parent;
    std::vector<oci::Reference> names; // tagged; names without a tag get latest
    // What it was pulled as (name@digest): the digest of the manifest or of the index above it.
    std::vector<oci::Reference> repo_digests;
    // The index that all of the names stand for, and those below it that led here. Empty: the names
    // stand for this image alone.
    std::vector<IndexDocument> indexes;
};

// What an index names: an image for one platform, or something that goes with one.
struct IndexEntry {
    oci::Descriptor descriptor;
    oci::Digest image;     // here, and meant by the name; else empty
    bool complete = false; // the manifest and all blobs that it names are here
};

// The index that a name stands for, as far as it is here.
struct ImageIndex {
    std::vector<IndexDocument> documents; // itself first, then those that it names
    std::vector<IndexEntry> entries;      // of all documents, in their order, each manifest once
    bool complete = false;
};

// A manifest ready to push: every blob it names is in the blob store.
struct PushableManifest {
    oci::Descriptor descriptor;
    std::string bytes;
    oci::Manifest manifest;
};

// What an image takes on disk: layers and blobs.
struct ImageUsage {
    oci::Digest id;
    std::uint64_t size = 0;
    std::uint64_t shared_size = 0; // the part that other images have too
};

struct DiskUsage {
    std::uint64_t layers_size = 0; // every layer once
    std::uint64_t blobs_size = 0;
    std::vector<ImageUsage> images;
    // What no image has, with its size: of the build cache, of containers, or garbage.
    std::map<ContentKey, std::uint64_t> others;
};

// Thread-safe.
class ImageStore {
  public:
    // All references must outlive the store.
    static Result<std::unique_ptr<ImageStore>>
    open(Database& database, BlobStore& blobs, LayerStore& layers, Leases& leases);

    // For an operation that puts an image together; see lease.h.
    Lease lease() { return leases_.create(); }

    // All layers of the configuration must be in the layer store: NotFound otherwise. Names move
    // here from the images that had them. An image that exists gets the new names and manifest.
    Result<Image> create(const NewImage& image);

    // By "sha256:<64>", 64 digits, a unique prefix of an id, name[:tag] or name@digest.
    // NotFound: "No such image: ubuntu:latest". A prefix of several: InvalidArgument.
    Result<Image> get(std::string_view name) const;
    Result<Image> get(const oci::Digest& id) const;
    // get() without the words: nullopt when there is none.
    Result<std::optional<oci::Digest>> find(std::string_view name) const;
    // All that the name stands for, one image for each platform that is here, first the one that it
    // means where none is asked for. An id stands for its image.
    Result<std::vector<Image>> platforms(std::string_view name) const;
    // nullopt when the name stands for one manifest, or is an id.
    Result<std::optional<ImageIndex>> index(Lease& lease, std::string_view name) const;
    // Newest first.
    Result<std::vector<Image>> list() const;
    Result<std::size_t> count() const;

    // Moves the name here when it points elsewhere.
    Result<void> tag(const oci::Digest& id, const oci::Reference& name);
    // Gives it all that `source` stands for.
    Result<void> tag(std::string_view source, const oci::Reference& name);
    // The name no longer stands for this one of its images. NotFound when it does not.
    Result<void> untag_platform(const oci::Reference& name, const oci::Digest& id);
    // Tags and names with a digest, all or none. NotFound when there is no such name. The image
    // stays.
    Result<void> untag(std::span<const oci::Reference> names);

    Result<void> untag(const oci::Reference& name) { return untag({&name, 1}); }

    // A repo digest that the image got by a push.
    Result<void> add_repo_digest(const oci::Digest& id, const oci::Reference& name);
    // The image and its names, which the caller has seen: Conflict when it has more by now. A name
    // that has other platforms stays with those. Layers and blobs go with the next garbage
    // collection.
    Result<void> remove(const Image& image);

    Result<void> remove(const oci::Digest& id) { return remove(TRY(get(id))); }

    // Images built here on top of this one.
    Result<std::vector<oci::Digest>> children(const oci::Digest& id) const;

    // The manifest it was pulled with, when all its blobs are still there; else one made from the
    // configuration and the layers' blobs, compressed now where they are not.
    Result<PushableManifest> manifest_for_push(Lease& lease, const oci::Digest& id);

    // The manifest it was pulled with or pushed as; nullopt when it never was, or a blob is gone.
    Result<std::optional<PushableManifest>>
    original_manifest(Lease& lease, const oci::Digest& id) const;

    // Of any digest that an index names.
    Result<std::optional<PushableManifest>>
    whole_manifest(Lease& lease, const oci::Digest& digest, std::string_view media_type) const;

    // disk_usage.cpp
    Result<DiskUsage> disk_usage() const;

    // What must stay so that every image stays whole, layers without their parents. For the garbage
    // collector.
    Result<std::vector<ContentKey>> roots() const;

    Database& database() const { return database_; }

    BlobStore& blobs() const { return blobs_; }

    LayerStore& layers() const { return layers_; }

  private:
    ImageStore(Database& database, BlobStore& blobs, LayerStore& layers, Leases& leases)
        : database_(database)
        , blobs_(blobs)
        , layers_(layers)
        , leases_(leases) {}

    Result<void> keep_indexes(Lease& lease, const NewImage& image);
    Result<void> keep_as_named(Lease& lease, const oci::Index& index, const std::string& manifest);
    // Whether it is here; it stays then.
    bool keeps(Lease& lease, const oci::Digest& blob) const;
    bool has_layers(Lease& lease, const oci::Manifest& manifest) const;
    Result<void> add_index_roots(std::vector<ContentKey>& keys) const;

    Database& database_;
    BlobStore& blobs_;
    LayerStore& layers_;
    Leases& leases_;
};

} // namespace berth::store
