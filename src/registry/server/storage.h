// SPDX-License-Identifier: Apache-2.0
// A registry's content on disk: one OCI image layout per repository, blobs shared by hard links
// (docs/formats/registry.md). Internal to the server.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "base/synchronized.h"
#include "base/unique_fd.h"
#include "oci/descriptor.h"
#include "oci/digest.h"
#include "registry/server/index_change.h"
#include "registry/server/index_keeper.h"
#include "registry/server/manifest_cache.h"
#include "registry/server/repository.h"
#include "registry/server/upload.h"
#include "registry/server/usage.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

struct StorageOptions {
    std::string root;
    std::uint64_t total_bytes = 0; // quotas; 0: none
    std::uint64_t repository_bytes = 0;
    std::size_t open_uploads = 1024; // with a descriptor each; the longest idle one is closed
    std::size_t uploads = 16'384;    // on disk
    std::size_t repositories = 100'000;
    // How often a blob that is asked for is noted to be in use; less than the collector's grace.
    std::chrono::seconds touch_interval{600};
    // From so many manifests and tags on, changes of an index go to a journal first.
    std::size_t small_index = 256;
};

struct OpenBlob {
    UniqueFd fd;
    std::uint64_t size = 0;
};

struct StoredManifest {
    oci::Descriptor descriptor;
    std::shared_ptr<const std::string> bytes;
};

struct NewManifest {
    oci::Descriptor descriptor; // REQUIRES: fits bytes
    std::string bytes;
    std::string tag;                     // empty: known by its digest only
    oci::Digest subject;                 // empty: none
    std::vector<oci::Digest> references; // what must be there
};

// Sorted names, and whether there are more behind them.
struct NamePage {
    std::vector<std::string> names;
    bool more = false;
};

struct CollectOptions {
    std::chrono::seconds grace{86'400};          // what is younger is never taken
    std::chrono::seconds upload_age{7 * 86'400}; // uploads that nobody went on with
    bool untagged = false;                       // manifests that no tag leads to
    // Of a cache: whatever nobody asked for since then goes, referred to or not. 0: no cache.
    std::chrono::seconds keep{0};
    std::stop_token stop;
};

struct CollectReport {
    std::uint64_t manifests = 0;
    std::uint64_t blobs = 0; // of repositories
    std::uint64_t uploads = 0;
    std::uint64_t bytes = 0;   // of both; what other repositories have too is not freed yet
    std::uint64_t skipped = 0; // repositories with a manifest that cannot be read
};

struct CheckOptions {
    bool repair = false;
    bool cache = false; // what manifests refer to comes when it is asked for
    std::stop_token stop;
};

struct CheckProblem {
    std::string where;
    std::string what;
    bool repaired = false;
};

struct CheckReport {
    static constexpr std::size_t most_problems = 10'000; // that are told one by one

    std::uint64_t repositories = 0;
    std::uint64_t manifests = 0;
    std::uint64_t blobs = 0;
    std::uint64_t bytes = 0; // of the blobs, all of them read
    std::uint64_t repaired = 0;
    std::uint64_t unrepaired = 0;
    std::vector<CheckProblem> problems;
};

// Thread-safe. NotFound means: there is no such repository, blob, manifest or upload; Forbidden: a
// quota; an error with ENOSPC: the disk is full.
class Storage {
  public:
    // Makes the root where absent and sweeps what a killed process left.
    static Result<std::unique_ptr<Storage>> open(StorageOptions options);
    // Brings every index.json up to date.
    ~Storage();
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;

    // --- blobs ---
    Result<OpenBlob> open_blob(const std::string& repository, const oci::Digest& digest);
    // Makes a blob of one repository (empty: of any) one of another; false when it is not there.
    Result<bool> mount(const std::string& from, const std::string& to, const oci::Digest& digest);
    Result<void> remove_blob(const std::string& repository, const oci::Digest& digest);

    // --- uploads ---
    Result<std::shared_ptr<Upload>>
    begin_upload(const std::string& repository, std::string_view algorithm);
    Result<std::shared_ptr<Upload>> find_upload(const std::string& repository, std::string_view id);
    // For these, the caller holds the upload's mutex.
    void cancel_upload(Upload& upload);
    // DataLoss when the bytes have another digest; the upload is over then, and on success.
    Result<void> finish_upload(Upload& upload, const oci::Digest& digest);

    // --- manifests ---
    // By tag or digest.
    Result<StoredManifest> manifest(const std::string& repository, std::string_view tag_or_digest);
    // What is missing of its references; nullopt: it is stored.
    Result<std::optional<oci::Digest>>
    put_manifest(const std::string& repository, const NewManifest& manifest);
    // A tag goes alone, a digest with all its tags.
    Result<void> remove_manifest(const std::string& repository, std::string_view tag_or_digest);
    // Behind `last`, at most `count`.
    Result<NamePage> tags(const std::string& repository, std::string_view last, std::size_t count);
    // Digests of the manifests whose subject that is, sorted.
    Result<std::vector<std::string>>
    referrers(const std::string& repository, const oci::Digest& subject);
    // The manifest was asked for: a collection that goes by use keeps it.
    void note_use(const std::string& repository, const oci::Digest& manifest) const;
    // The descriptor of a blob as a manifest of the repository has it.
    Result<oci::Descriptor> describe_blob(const std::string& repository, const oci::Digest& digest);
    NamePage repositories(std::string_view last, std::size_t count) const;

    // --- the whole ---
    // Takes what nothing refers to, while everything else goes on. One at a time: Conflict.
    Result<CollectReport> collect(const CollectOptions& options);
    // Reads everything. Not beside a collection or another check: Conflict.
    Result<CheckReport> check(const CheckOptions& options);

    const Usage& usage() const { return total_; }

    // nullptr when there is no such repository.
    std::shared_ptr<Repository> find_repository(std::string_view name) const;

    // As they are now; others may come meanwhile.
    std::vector<std::shared_ptr<Repository>> all_repositories() const;

    std::size_t repository_count() const { return repositories_.lock()->size(); }

    std::size_t upload_count() const { return uploads_on_disk_.load(); }

  private:
    using Uploads = std::map<std::string, std::shared_ptr<Upload>, std::less<>>;

    Storage(StorageOptions options, FileLock lock);

    std::string folder_of(const std::string& repository) const;
    std::string layout_of(const std::string& repository) const;
    std::string blob_path(const std::string& repository, const oci::Digest& digest) const;
    std::string pool_path(const oci::Digest& digest) const;

    Result<void> sweep_pool();
    Result<void> find_repositories(const std::string& prefix, int depth);
    Result<std::shared_ptr<Repository>> loaded(std::string_view name);
    Result<std::shared_ptr<Repository>> ensure_repository(const std::string& name);

    // --- blobs ---
    struct Linked {
        bool in_pool = false;
        bool in_repository = false;
    };

    Result<Linked>
    link_blob(const std::string& source, Repository& repository, const oci::Digest& digest);
    Result<void> sync_links(const Repository& repository, const oci::Digest& digest);
    Result<void> publish(
        const std::string& temporary,
        Repository& repository,
        const oci::Digest& digest,
        std::uint64_t size);
    void unlink_blob(Repository& repository, const oci::Digest& digest);
    void drop_from_pool(const oci::Digest& digest);

    // --- manifests ---
    Result<ManifestCache::Bytes>
    manifest_bytes(const Repository& repository, const oci::Descriptor& descriptor);

    // --- index and journal (storage_index.cpp) ---
    std::string journal_path(const std::string& repository) const;
    Result<void> load(Repository& repository);
    Result<void> replace_index(Repository& repository, RepositoryIndex changed);
    // Makes the change last, then lets it be seen.
    Result<void> commit(Repository& repository, IndexChange change);
    Result<void> settle(Repository& repository);
    void settle_or_warn(Repository& repository);
    bool settle_when_quiet(Repository& repository);

    // --- uploads ---
    void make_upload_room(Uploads& uploads);

    class Check; // storage_check.cpp

    // --- collection (storage_collect.cpp) ---
    struct Marks;
    Result<void> collect_repository(
        Repository& repository, const CollectOptions& options, CollectReport& report);
    Result<void> mark_manifests(Repository& repository, Marks& marks);
    Result<void> remove_untagged(Repository& repository, Marks& marks, CollectReport& report);
    Result<void> remove_unused(Repository& repository, Marks& marks, CollectReport& report);
    Result<void> remove_manifests(
        Repository& repository,
        RepositoryIndex changed,
        const std::vector<oci::Digest>& doomed,
        CollectReport& report);
    Result<void> sweep_blobs(Repository& repository, const Marks& marks, CollectReport& report);
    void sweep_uploads(
        const Repository& repository, const CollectOptions& options, CollectReport& report);

    const StorageOptions options_;
    FileLock lock_;
    Usage total_;
    ManifestCache manifests_;
    // Guards the pool's links against each other; never held across a sync.
    std::mutex pool_mutex_;
    std::mutex collecting_;
    std::mutex creating_; // of repositories
    Synchronized<std::map<std::string, std::shared_ptr<Repository>, std::less<>>> repositories_;
    Synchronized<Uploads> uploads_;
    std::atomic<std::size_t> uploads_on_disk_ = 0;
    // Last: its thread uses the others.
    IndexKeeper keeper_{[this](Repository& repository) { return settle_when_quiet(repository); }};
};

} // namespace berth::registry
