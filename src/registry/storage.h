// SPDX-License-Identifier: Apache-2.0
// A registry's content on disk: one OCI image layout per repository, blobs shared by hard links
// (docs/formats/registry.md). Internal to the server.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "base/synchronized.h"
#include "base/unique_fd.h"
#include "codec/sha256.h"
#include "codec/stream.h"
#include "oci/descriptor.h"
#include "oci/digest.h"
#include "oci/manifest.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

// The specification's [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* between slashes, at most 255 characters.
bool is_repository_name(std::string_view name);

struct OpenBlob {
    UniqueFd fd;
    std::uint64_t size = 0;
};

struct StoredManifest {
    oci::Descriptor descriptor;
    std::string bytes;
};

// A blob that is being sent. It lives in memory and as a temporary file: an upload does not
// outlive the process, as the specification allows.
class Upload {
  public:
    const std::string id;
    const std::string repository;

    // One request at a time; another one meanwhile is a Conflict.
    std::mutex mutex;
    UniqueFd fd;
    std::uint64_t size = 0;
    Sha256 hash;

    Upload(std::string upload_id, std::string repository_name, std::string path)
        : id(std::move(upload_id))
        , repository(std::move(repository_name))
        , path_(std::move(path)) {}

    ~Upload();
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;

    const std::string& path() const { return path_; }

    // All of source, after what is there.
    Result<void> append(ByteSource& source);

  private:
    std::string path_;
};

// Thread-safe. NotFound means: there is no such repository, blob, manifest or upload.
class Storage {
  public:
    static Result<std::unique_ptr<Storage>> open(const std::string& root);

    // --- blobs ---
    Result<OpenBlob> open_blob(const std::string& repository, const oci::Digest& digest) const;
    // Makes a blob of one repository one of another; false when it is not there.
    Result<bool> mount(const std::string& from, const std::string& to, const oci::Digest& digest);
    Result<void> remove_blob(const std::string& repository, const oci::Digest& digest);

    // --- uploads ---
    Result<std::shared_ptr<Upload>> begin_upload(const std::string& repository);
    Result<std::shared_ptr<Upload>>
    find_upload(const std::string& repository, std::string_view id) const;
    void cancel_upload(const std::string& id);
    // DataLoss when the bytes hash to something else. The upload is over in any case.
    Result<void> finish_upload(Upload& upload, const oci::Digest& digest);

    // --- manifests ---
    // By tag or digest.
    Result<StoredManifest>
    manifest(const std::string& repository, std::string_view tag_or_digest) const;
    // tag may be empty: known by its digest only. REQUIRES: descriptor fits bytes.
    Result<void> put_manifest(
        const std::string& repository,
        std::string_view tag,
        const StoredManifest& manifest,
        const oci::Digest& subject);
    // A tag goes alone, a digest with all its tags.
    Result<void> remove_manifest(const std::string& repository, std::string_view tag_or_digest);
    // Sorted.
    Result<std::vector<std::string>> tags(const std::string& repository) const;
    // Manifests whose subject that is.
    Result<std::vector<StoredManifest>>
    referrers(const std::string& repository, const oci::Digest& subject) const;

    // Names, sorted.
    Result<std::vector<std::string>> repositories() const;

  private:
    explicit Storage(std::string root, FileLock lock)
        : root_(std::move(root))
        , lock_(std::move(lock)) {}

    std::string layout_of(const std::string& repository) const;
    std::string blob_path(const std::string& repository, const oci::Digest& digest) const;
    std::string pool_path(const oci::Digest& digest) const;
    Result<void> ensure_layout(const std::string& repository);
    Result<void>
    publish(const std::string& temporary, const std::string& repository, const oci::Digest& digest);
    Result<void> link_blob(const std::string& repository, const oci::Digest& digest);
    Result<oci::Index> read_index(const std::string& repository) const;
    Result<void> write_index(const std::string& repository, const oci::Index& index);
    Result<void> sweep();
    Result<void>
    list_repositories(const std::string& prefix, std::vector<std::string>& names, int depth) const;
    void drop_from_pool(const oci::Digest& digest);

    const std::string root_;
    FileLock lock_;
    // Guards indexes and links against each other; held for small files only.
    mutable std::mutex mutex_;
    Synchronized<std::map<std::string, std::shared_ptr<Upload>, std::less<>>> uploads_;
};

} // namespace berth::registry
