// SPDX-License-Identifier: Apache-2.0
// Blobs on disk. Three places: tmp/blob-* (in the making, swept at open), blobs/partial/<hex>
// (downloads to be resumed), blobs/<algorithm>/<hex> (verified, synced, never changed again).
#include "store/blob_store.h"

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/rollback.h"
#include "base/time.h"
#include "store/disk_error.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr std::string_view temporary_prefix = "blob-";
constexpr std::chrono::hours partial_lifetime{7 * 24};
constexpr std::size_t blob_buffer_bytes = 256U << 10;

std::string algorithm_of(const BlobOptions& options) {
    return options.expected ? std::string(options.expected->algorithm()) : "sha256";
}

Error blob_not_found(const oci::Digest& digest) {
    return not_found("blob " + digest.to_string() + " not found");
}

void sweep_temporaries(const std::string& root) {
    auto names = list_directory(root + "/tmp");
    if (!names.ok()) {
        return;
    }
    for (const std::string& name : names.value()) {
        if (name.starts_with(temporary_prefix)) {
            unlink((root + "/tmp/" + name).c_str());
        }
    }
}

Timestamp changed_at(const struct stat& status) {
    return {status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

} // namespace

BlobWriter::BlobWriter(BlobStore& store, Lease& lease, BlobOptions options)
    : store_(&store)
    , lease_(&lease)
    , options_(std::move(options))
    , hash_(oci::Digester::create(algorithm_of(options_)).value()) {}

BlobWriter::BlobWriter(BlobWriter&& other) noexcept
    : store_(other.store_)
    , lease_(other.lease_)
    , options_(std::move(other.options_))
    , fd_(std::move(other.fd_))
    , name_(std::exchange(other.name_, {}))
    , resumable_(other.resumable_)
    , size_(other.size_)
    , write_behind_(other.write_behind_)
    , hash_(std::move(other.hash_)) {}

BlobWriter::~BlobWriter() {
    if (name_.empty()) {
        return;
    }
    if (resumable_) {
        store_->partials_in_use_.lock()->erase(name_);
    } else {
        unlink(name_.c_str());
    }
}

Result<void> BlobWriter::open(std::string name, bool resumable) {
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | (resumable ? 0 : O_EXCL);
    fd_ = TRY(disk_result(open_file(name, flags, 0600)));
    name_ = std::move(name);
    resumable_ = resumable;
    if (!resumable) {
        return ok();
    }
    // What is there counts only as far as it hashes; the descriptor ends up behind it.
    std::string buffer(blob_buffer_bytes, '\0');
    FdSource existing{FdRef(fd_)};
    while (std::size_t count = TRY(existing.read(buffer))) {
        hash_.update(std::string_view(buffer).substr(0, count));
        size_ += count;
    }
    if (options_.expected_size && size_ > *options_.expected_size) {
        return reset();
    }
    return ok();
}

Result<void> BlobWriter::write(std::string_view bytes) {
    if (options_.expected_size && size_ + bytes.size() > *options_.expected_size) {
        return Error(
            ErrorKind::DataLoss,
            "blob is longer than the " + std::to_string(*options_.expected_size) +
                " bytes that were announced");
    }
    TRY(disk_result(write_all(fd_, bytes)));
    hash_.update(bytes);
    size_ += bytes.size();
    write_behind_.wrote_until(fd_, size_);
    return ok();
}

Result<void> BlobWriter::reset() {
    if (ftruncate(fd_.get(), 0) != 0 || lseek(fd_.get(), 0, SEEK_SET) != 0) {
        return errno_error("truncate " + name_);
    }
    hash_ = TRY(oci::Digester::create(algorithm_of(options_)));
    size_ = 0;
    write_behind_ = WriteBehind();
    return ok();
}

Result<BlobInfo> BlobWriter::commit() {
    VERIFY(!name_.empty());
    // A file that failed its verification is of no use to anybody.
    std::string name = std::exchange(name_, {});
    Rollback undo;
    undo.push([&] {
        unlink(name.c_str());
        if (resumable_) {
            store_->partials_in_use_.lock()->erase(name);
        }
    });
    if (options_.expected_size && size_ != *options_.expected_size) {
        return Error(
            ErrorKind::DataLoss,
            "blob has " + std::to_string(size_) + " bytes where " +
                std::to_string(*options_.expected_size) + " were announced");
    }
    oci::Digest digest = hash_.finish();
    if (options_.expected && digest != *options_.expected) {
        return Error(
            ErrorKind::DataLoss,
            "content has digest " + digest.to_string() + ", which does not match digest " +
                options_.expected->to_string());
    }
    lease_->add_blob(digest);
    if (fdatasync(fd_.get()) != 0) {
        return disk_error(errno_error("sync " + name));
    }
    // Replacing a blob by the same bytes is fine: who has it open keeps the old file.
    if (rename(name.c_str(), store_->path_of(digest).c_str()) != 0) {
        return disk_error(errno_error("rename " + name));
    }
    if (resumable_) {
        store_->partials_in_use_.lock()->erase(name);
    }
    undo.commit();
    if (fsync(store_->directories_.find(digest.algorithm())->second.get()) != 0) {
        return disk_error(errno_error("sync the directory of " + digest.to_string()));
    }
    return BlobInfo{digest, size_};
}

Result<std::size_t> BlobTee::read(std::span<char> buffer) {
    std::size_t count = TRY(source_.read(buffer));
    TRY(writer_.write({buffer.data(), count}));
    return count;
}

Result<BlobInfo> BlobTee::finish() {
    std::string buffer(blob_buffer_bytes, '\0');
    while (TRY(read(buffer)) > 0) {
    }
    return writer_.commit();
}

Result<std::unique_ptr<BlobStore>> BlobStore::open(const std::string& root) {
    std::unique_ptr<BlobStore> store(new BlobStore(root));
    TRY(store->prepare_directories());
    sweep_temporaries(root);
    store->remove_partials(partial_lifetime);
    return store;
}

Result<void> BlobStore::prepare_directories() {
    for (const char* name : {"/blobs/partial", "/tmp"}) {
        TRY(disk_result(make_directories(root_ + name, 0700)));
    }
    for (std::string_view algorithm : oci::blob_algorithms) {
        const std::string path = root_ + "/blobs/" + std::string(algorithm);
        TRY(disk_result(make_directories(path, 0700)));
        directories_.emplace(algorithm, TRY(open_file(path, O_RDONLY | O_DIRECTORY)));
    }
    return ok();
}

std::string BlobStore::path_of(const oci::Digest& digest) const {
    return root_ + "/blobs/" + std::string(digest.algorithm()) + "/" + std::string(digest.hex());
}

Result<BlobInfo> BlobStore::ingest(Lease& lease, ByteSource& source, BlobOptions options) {
    BlobWriter target = TRY(writer(lease, std::move(options)));
    TRY(copy(source, target));
    return target.commit();
}

Result<BlobInfo> BlobStore::put(Lease& lease, std::string_view bytes, std::string_view algorithm) {
    oci::Digest digest = oci::digest_of(algorithm, bytes);
    lease.add_blob(digest);
    if (contains(digest)) {
        return BlobInfo{digest, bytes.size()};
    }
    BlobWriter target = TRY(writer(lease, {.expected = digest}));
    TRY(target.write(bytes));
    return target.commit();
}

Result<BlobWriter> BlobStore::writer(Lease& lease, BlobOptions options) {
    if (options.expected) {
        TRY(oci::require_blob_digest(*options.expected));
        lease.add_blob(*options.expected);
    }
    BlobWriter target(*this, lease, std::move(options));
    TRY(target.open(root_ + "/tmp/" + std::string(temporary_prefix) + random_hex(16), false));
    return target;
}

Result<BlobWriter>
BlobStore::resume(Lease& lease, const oci::Digest& expected, BlobOptions options) {
    TRY(oci::require_blob_digest(expected));
    lease.add_blob(expected);
    std::string name = root_ + "/blobs/partial/" + std::string(expected.hex());
    if (!partials_in_use_.lock()->insert(name).second) {
        return Error(
            ErrorKind::Unavailable, "blob " + expected.to_string() + " is being written already");
    }
    options.expected = expected;
    BlobWriter target(*this, lease, std::move(options));
    Result<void> opened = target.open(name, true);
    if (!opened.ok()) {
        if (target.name_.empty()) { // its destructor does not know the name
            partials_in_use_.lock()->erase(name);
        }
        return std::move(opened).error();
    }
    return target;
}

std::size_t BlobStore::remove_partials(std::chrono::nanoseconds age) {
    const std::string directory = root_ + "/blobs/partial";
    auto names = list_directory(directory);
    if (!names.ok()) {
        return 0;
    }
    std::size_t removed = 0;
    const Timestamp limit{Timestamp::now().nanoseconds - age.count()};
    for (const std::string& name : names.value()) {
        const std::string path = directory + "/" + name;
        // Nobody begins to write it meanwhile.
        auto in_use = partials_in_use_.lock();

        struct stat status {};

        if (!in_use->contains(path) && lstat(path.c_str(), &status) == 0 &&
            (status.st_size == 0 || changed_at(status) <= limit)) {
            removed += unlink(path.c_str()) == 0 ? 1 : 0;
        }
    }
    return removed;
}

bool BlobStore::contains(const oci::Digest& digest) const {
    return oci::require_blob_digest(digest).ok() && exists(path_of(digest));
}

Result<UniqueFd> BlobStore::open_blob(const oci::Digest& digest) const {
    TRY(oci::require_blob_digest(digest));
    Result<UniqueFd> fd = open_file(path_of(digest), O_RDONLY | O_NOFOLLOW);
    if (!fd.ok() && fd.error().error_number() == ENOENT) {
        return blob_not_found(digest);
    }
    return fd;
}

Result<std::uint64_t> BlobStore::size(const oci::Digest& digest) const {
    TRY(oci::require_blob_digest(digest));

    struct stat status {};

    if (lstat(path_of(digest).c_str(), &status) != 0) {
        return errno == ENOENT ? blob_not_found(digest) : errno_error(path_of(digest));
    }
    return static_cast<std::uint64_t>(status.st_size);
}

Result<std::string> BlobStore::read(const oci::Digest& digest, std::size_t limit) const {
    UniqueFd fd = TRY(open_blob(digest));
    return read_all(fd, limit);
}

Result<void> BlobStore::remove(const oci::Digest& digest) {
    TRY(oci::require_blob_digest(digest));
    if (unlink(path_of(digest).c_str()) != 0 && errno != ENOENT) {
        return errno_error("remove blob " + digest.to_string());
    }
    return ok();
}

Result<std::vector<BlobInfo>> BlobStore::list() const {
    std::vector<BlobInfo> blobs;
    for (std::string_view algorithm : oci::blob_algorithms) {
        const std::string prefix(algorithm);
        for (const std::string& name : TRY(list_directory(root_ + "/blobs/" + prefix))) {
            Result<oci::Digest> digest = oci::Digest::parse(prefix + ":" + name);
            if (!digest.ok()) {
                log::debug("not a blob, ignoring", {{"name", name}});
                continue;
            }

            struct stat status {};

            if (lstat(path_of(*digest).c_str(), &status) == 0) { // removed meanwhile is fine
                blobs.push_back(
                    {*digest, static_cast<std::uint64_t>(status.st_size), changed_at(status)});
            }
        }
    }
    return blobs;
}

} // namespace berth::store
