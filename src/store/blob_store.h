// SPDX-License-Identifier: Apache-2.0
// Blobs on disk, addressed by digest. A blob is visible only once its bytes are verified and
// synced: written under a temporary name, renamed into place. A download that broke off is kept and
// continued.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "base/write_behind.h"
#include "codec/stream.h"
#include "oci/digest.h"
#include "oci/digester.h"
#include "store/lease.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace berth::store {

struct BlobInfo {
    oci::Digest digest;
    std::uint64_t size = 0;
    Timestamp stored = {}; // known to list() only
};

struct BlobOptions {
    // Bytes that hash to something else are DataLoss: "… does not match digest sha256:…".
    std::optional<oci::Digest> expected;
    // More or fewer bytes are DataLoss, noticed before the surplus is written.
    std::optional<std::uint64_t> expected_size;
};

class BlobStore;

// A blob in the making, by one thread at a time. Destroyed without commit(): a writer made by
// resume() leaves its bytes for the next one, any other leaves nothing.
class BlobWriter final : public ByteSink {
  public:
    BlobWriter(BlobWriter&&) noexcept;
    BlobWriter& operator=(BlobWriter&&) = delete;
    ~BlobWriter() override;

    // Bytes there already; a resumed download asks for the rest from here.
    std::uint64_t offset() const { return size_; }

    // ResourceExhausted when the disk is full: "no space left on device".
    Result<void> write(std::string_view bytes) override;

    // Verifies and publishes. When it fails the bytes are dropped, since resuming would fail again.
    Result<BlobInfo> commit();

    // Starts over (the server ignored the Range).
    Result<void> reset();

  private:
    friend class BlobStore;
    BlobWriter(BlobStore& store, Lease& lease, BlobOptions options);
    Result<void> open(std::string name, bool resumable);

    BlobStore* store_;
    Lease* lease_;
    BlobOptions options_;
    UniqueFd fd_;
    std::string name_; // below the partial or the temporary folder; empty once done
    bool resumable_ = false;
    std::uint64_t size_ = 0;
    WriteBehind write_behind_;
    oci::Digester hash_; // of the algorithm that is expected, else sha256
};

// Passes a source through and writes what passes into a blob, so that a layer is stored and
// unpacked in one go. Call finish() when the consumer is satisfied: it takes the rest of the source
// and commits.
class BlobTee final : public ByteSource {
  public:
    // Both must outlive this object.
    BlobTee(ByteSource& source, BlobWriter& writer)
        : source_(source)
        , writer_(writer) {}

    Result<std::size_t> read(std::span<char> buffer) override;
    Result<BlobInfo> finish();

  private:
    ByteSource& source_;
    BlobWriter& writer_;
};

// Thread-safe. sha256 and sha512; digests of other algorithms are NotImplemented.
class BlobStore {
  public:
    // Makes <root>/blobs/sha256, <root>/blobs/sha512, <root>/blobs/partial and <root>/tmp where
    // absent, and sweeps temporary files that a killed process left. Partial downloads older than a
    // week go as well.
    static Result<std::unique_ptr<BlobStore>> open(const std::string& root);

    // The whole source as a blob; the lease holds it. An existing one is kept as it is.
    Result<BlobInfo> ingest(Lease& lease, ByteSource& source, BlobOptions options = {});
    Result<BlobInfo>
    put(Lease& lease, std::string_view bytes, std::string_view algorithm = "sha256");

    Result<BlobWriter> writer(Lease& lease, BlobOptions options = {});
    // Goes on where an earlier download of this digest broke off. Unavailable while another writer
    // is at it; use writer() then.
    Result<BlobWriter> resume(Lease& lease, const oci::Digest& expected, BlobOptions options = {});

    bool contains(const oci::Digest& digest) const;
    // NotFound: "blob sha256:… not found".
    Result<UniqueFd> open_blob(const oci::Digest& digest) const;
    Result<std::uint64_t> size(const oci::Digest& digest) const;
    // ResourceExhausted when it is longer than limit.
    Result<std::string> read(const oci::Digest& digest, std::size_t limit = 16U << 20) const;

    // Downloads that broke off so long ago, unless one is being continued.
    std::size_t remove_partials(std::chrono::nanoseconds age);

    // Absent is fine. For the garbage collector: whoever removes must know that nobody needs it.
    Result<void> remove(const oci::Digest& digest);
    Result<std::vector<BlobInfo>> list() const;

  private:
    friend class BlobWriter;

    explicit BlobStore(std::string root)
        : root_(std::move(root)) {}

    std::string path_of(const oci::Digest& digest) const;
    Result<void> prepare_directories();

    std::string root_;
    std::map<std::string, UniqueFd, std::less<>> directories_; // by algorithm
    Synchronized<std::set<std::string>> partials_in_use_;
};

} // namespace berth::store
