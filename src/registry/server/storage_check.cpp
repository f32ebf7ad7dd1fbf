// SPDX-License-Identifier: Apache-2.0
// Whether a root is whole: every blob has the bytes that its name says, every link leads into the
// pool, every manifest of an index is there and so is what it names. It reads everything, each file
// once, while the registry may be served: what looks wrong is looked at again under the lock that
// its change takes.
//
// Repaired is what the root itself can tell. A damaged blob is taken away, so that the next push or
// pull brings it again: a client that is told it were there would skip it.
#include "oci/digester.h"
#include "oci/manifest.h"
#include "registry/server/manifest_references.h"
#include "registry/server/storage.h"
#include "registry/server/storage_files.h"

#include <functional>
#include <unordered_map>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::registry {

namespace {

constexpr std::size_t check_piece_bytes = 256U << 10;

struct Hashed {
    oci::Digest digest;
    ino_t inode = 0;
    std::uint64_t size = 0;
    bool in_pool = false;
};

Result<Hashed>
hash_file(const std::string& path, std::string_view algorithm, const std::stop_token& stop) {
    UniqueFd fd = TRY(open_file(path, O_RDONLY | O_NOFOLLOW));

    struct stat status {};

    if (fstat(fd.get(), &status) != 0) {
        return errno_error("stat " + path);
    }
    Hashed hashed{.digest = {}, .inode = status.st_ino};
    oci::Digester digester = TRY(oci::Digester::create(algorithm));
    std::vector<char> buffer(check_piece_bytes);
    while (true) {
        if (stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "the check was stopped");
        }
        ssize_t count = read(fd.get(), buffer.data(), buffer.size());
        if (count < 0) {
            return errno_error("read " + path);
        }
        if (count == 0) {
            hashed.digest = digester.finish();
            return hashed;
        }
        digester.update({buffer.data(), static_cast<std::size_t>(count)});
        hashed.size += static_cast<std::uint64_t>(count);
    }
}

ino_t inode_of(const std::string& path) {
    struct stat status {};

    return lstat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

} // namespace

class Storage::Check {
  public:
    Check(Storage& storage, const CheckOptions& options)
        : storage_(storage)
        , options_(options) {}

    Result<CheckReport> run();

  private:
    void tell(std::string where, std::string what, bool repaired);
    Result<void> each_blob(
        const std::string& folder, const std::function<Result<void>(const oci::Digest&)>& check);
    Result<void> check_pool_blob(const oci::Digest& digest);
    Result<void> check_link(Repository& repository, const oci::Digest& digest);
    void check_pool_link(Repository& repository, const oci::Digest& digest, const Hashed& hashed);
    bool take_away(Repository& repository, const oci::Digest& digest, ino_t inode);
    Result<void> check_repository(Repository& repository);
    Result<void> check_manifest(Repository& repository, const ManifestEntry& entry);
    Result<void> drop_manifest(Repository& repository, const oci::Digest& digest);
    void check_uploads(const Repository& repository);
    void drop_orphans();

    Storage& storage_;
    const CheckOptions& options_;
    CheckReport report_;
    std::unordered_map<ino_t, Hashed> hashed_; // of all files that were read
};

void Storage::Check::tell(std::string where, std::string what, bool repaired) {
    ++(repaired ? report_.repaired : report_.unrepaired);
    if (report_.problems.size() < CheckReport::most_problems) {
        report_.problems.push_back({std::move(where), std::move(what), repaired});
    }
}

Result<void> Storage::Check::each_blob(
    const std::string& folder, const std::function<Result<void>(const oci::Digest&)>& check) {
    for (const char* algorithm : oci::blob_algorithms) {
        auto names = list_directory(folder + "/" + algorithm);
        for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
            if (options_.stop.stop_requested()) {
                return Error(ErrorKind::Cancelled, "the check was stopped");
            }
            auto digest = oci::Digest::parse(std::string(algorithm) + ":" + name);
            if (!digest.ok()) {
                tell(folder + "/" + algorithm + "/" + name, "is no blob by its name", false);
                continue;
            }
            TRY(check(*digest));
        }
    }
    return ok();
}

Result<void> Storage::Check::check_pool_blob(const oci::Digest& digest) {
    auto hashed = hash_file(storage_.pool_path(digest), digest.algorithm(), options_.stop);
    if (!hashed.ok()) {
        if (is_missing(hashed.error())) {
            return ok(); // went meanwhile
        }
        return std::move(hashed).error();
    }
    report_.blobs += 1;
    report_.bytes += hashed->size;
    hashed->in_pool = true;
    hashed_.insert_or_assign(hashed->inode, std::move(*hashed));
    return ok();
}

// The repository's link to a damaged file, and the pool's where it is the same file.
bool Storage::Check::take_away(Repository& repository, const oci::Digest& digest, ino_t inode) {
    std::unique_lock lock(repository.mutex);
    std::string path = storage_.blob_path(repository.name, digest);
    if (inode_of(path) != inode) {
        return true; // another one took its place
    }
    storage_.unlink_blob(repository, digest);
    return !exists(path);
}

void Storage::Check::check_pool_link(
    Repository& repository, const oci::Digest& digest, const Hashed& hashed) {
    if (hashed.in_pool) {
        return;
    }
    std::string pool = storage_.pool_path(digest);
    std::string path = storage_.blob_path(repository.name, digest);
    std::shared_lock against_collector(repository.mutex);
    std::lock_guard lock(storage_.pool_mutex_);
    ino_t there = inode_of(pool);
    if (inode_of(path) != hashed.inode || there == hashed.inode) {
        return; // came into the pool meanwhile
    }
    // A good copy in the pool takes this one's place, or this one goes into the pool.
    bool repaired = false;
    if (options_.repair && there == 0) {
        repaired = link(path.c_str(), pool.c_str()) == 0;
        storage_.total_.add(repaired ? hashed.size : 0);
    } else if (auto known = hashed_.find(there);
               options_.repair && known != hashed_.end() && known->second.digest == digest) {
        std::string beside = storage_.options_.root + "/tmp/" + std::string(digest.hex());
        repaired =
            link(pool.c_str(), beside.c_str()) == 0 && rename(beside.c_str(), path.c_str()) == 0;
    }
    tell(path, there == 0 ? "is not in the pool" : "is kept twice", repaired);
}

Result<void> Storage::Check::check_link(Repository& repository, const oci::Digest& digest) {
    std::string path = storage_.blob_path(repository.name, digest);
    ino_t inode = inode_of(path);
    auto known = hashed_.find(inode);
    if (known == hashed_.end() || known->second.digest.algorithm() != digest.algorithm()) {
        auto hashed = hash_file(path, digest.algorithm(), options_.stop);
        if (!hashed.ok()) {
            if (is_missing(hashed.error())) {
                return ok(); // went meanwhile
            }
            return std::move(hashed).error();
        }
        inode = hashed->inode;
        known = hashed_.insert_or_assign(inode, std::move(*hashed)).first;
    }
    if (known->second.digest != digest) {
        bool gone = options_.repair && take_away(repository, digest, inode);
        tell(path, "is damaged: its bytes are " + known->second.digest.to_string(), gone);
        return ok();
    }
    check_pool_link(repository, digest, known->second);
    return ok();
}

Result<void> Storage::Check::drop_manifest(Repository& repository, const oci::Digest& digest) {
    IndexChange change{.kind = IndexChange::Kind::RemoveManifest, .removed = digest.to_string()};
    return storage_.commit(repository, std::move(change));
}

Result<void> Storage::Check::check_manifest(Repository& repository, const ManifestEntry& entry) {
    std::lock_guard writer(repository.writing);
    const oci::Digest& digest = entry.descriptor.digest;
    const ManifestEntry* listed = repository.index->find(digest.to_string());
    if (listed == nullptr) {
        return ok(); // went meanwhile
    }
    std::string where = repository.name + "@" + digest.to_string();
    auto bytes = read_file(storage_.blob_path(repository.name, digest), oci::ManifestLimits::bytes);
    if (!bytes.ok() || oci::digest_of(digest.algorithm(), *bytes) != digest) {
        std::string tags;
        for (const auto& [tag, tagged] : repository.index->tags()) {
            tags += tagged == digest.to_string() ? " " + tag : "";
        }
        if (options_.repair) {
            TRY(drop_manifest(repository, digest));
        }
        tell(
            where,
            (bytes.ok() ? "is damaged" : "is listed, but not there") +
                (tags.empty() ? std::string() : "; its tags:" + tags),
            options_.repair);
        return ok();
    }
    auto document = oci::parse_manifest(*bytes, listed->descriptor.media_type);
    if (!document.ok()) {
        tell(where, document.error().message(), false);
        return ok();
    }
    ManifestEntry right = *listed;
    right.descriptor.size = static_cast<std::int64_t>(bytes->size());
    right.subject = subject_of(*document);
    if (right != *listed) {
        if (options_.repair) {
            TRY(storage_.commit(repository, {.put = {.entry = right}}));
        }
        tell(where, "is listed with another size or subject", options_.repair);
    }
    for (const oci::Digest& reference : required_references(*document)) {
        if (!options_.cache && !exists(storage_.blob_path(repository.name, reference))) {
            tell(where, "refers to " + reference.to_string() + ", which is not there", false);
        }
    }
    return ok();
}

void Storage::Check::check_uploads(const Repository& repository) {
    std::string folder = storage_.folder_of(repository.name) + "/_uploads";
    auto names = list_directory(folder);
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        if (!is_upload_id(name)) {
            tell(folder + "/" + name, "is no upload by its name", false);
        }
    }
}

Result<void> Storage::Check::check_repository(Repository& repository) {
    report_.repositories += 1;
    if (auto loaded = storage_.load(repository); !loaded.ok()) {
        tell("repository " + repository.name, loaded.error().message(), false);
        return ok();
    }
    TRY(each_blob(storage_.layout_of(repository.name) + "/blobs", [&](const oci::Digest& digest) {
        return check_link(repository, digest);
    }));
    std::vector<ManifestEntry> entries;
    {
        std::shared_lock lock(repository.mutex);
        for (const auto& [digest, entry] : repository.index->manifests()) {
            entries.push_back(entry);
        }
    }
    for (const ManifestEntry& entry : entries) {
        TRY(check_manifest(repository, entry));
        report_.manifests += 1;
    }
    check_uploads(repository);
    return ok();
}

// Of the pool: what no repository has.
void Storage::Check::drop_orphans() {
    for (const auto& [inode, hashed] : hashed_) {
        struct stat status {};

        std::string path = storage_.pool_path(hashed.digest);
        bool orphan = hashed.in_pool && lstat(path.c_str(), &status) == 0 &&
                      status.st_ino == inode && status.st_nlink == 1;
        if (orphan && options_.repair) {
            storage_.drop_from_pool(hashed.digest);
        }
        if (orphan) {
            tell(path, "is in no repository", options_.repair);
        }
    }
}

Result<CheckReport> Storage::Check::run() {
    TRY(each_blob(storage_.options_.root + "/blobs", [this](const oci::Digest& digest) {
        return check_pool_blob(digest);
    }));
    for (const std::shared_ptr<Repository>& repository : storage_.all_repositories()) {
        TRY(check_repository(*repository));
    }
    drop_orphans();
    return std::move(report_);
}

Result<CheckReport> Storage::check(const CheckOptions& options) {
    std::unique_lock only_one(collecting_, std::try_to_lock);
    if (!only_one.owns_lock()) {
        return conflict("a collection or a check is running already");
    }
    return Check(*this, options).run();
}

} // namespace berth::registry
