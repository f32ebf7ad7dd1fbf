// SPDX-License-Identifier: Apache-2.0
// Blobs and uploads. A blob is in a repository when its link is there; the pool's own link lets the
// same bytes be found whoever sends them again.
#include "base/random.h"
#include "registry/server/storage.h"
#include "registry/server/storage_files.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::registry {

namespace {

// False when `to` is there already.
Result<bool> link_file(const std::string& from, const std::string& to) {
    if (link(from.c_str(), to.c_str()) == 0) {
        return true;
    }
    return errno == EEXIST ? Result<bool>(false) : errno_error("link " + to);
}

// False when `to` is there already.
Result<bool> move_file(const std::string& from, const std::string& to) {
    if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
        return true;
    }
    return errno == EEXIST ? Result<bool>(false) : errno_error("rename to " + to);
}

Result<bool> same_size(const std::string& a, const std::string& b) {
    struct stat first {};

    struct stat second {};

    if (stat(a.c_str(), &first) != 0 || stat(b.c_str(), &second) != 0) {
        return errno_error("stat " + a);
    }
    return first.st_size == second.st_size;
}

Error too_many_in_use(std::size_t limit) {
    return Error(
        ErrorKind::ResourceExhausted,
        "more than " + std::to_string(limit) + " uploads receive at once");
}

} // namespace

Result<OpenBlob> Storage::open_blob(const std::string& repository, const oci::Digest& digest) {
    std::shared_ptr<Repository> owner = find_repository(repository);
    if (!owner) {
        return not_found("blob unknown to registry");
    }
    std::shared_lock against_collector(owner->mutex);
    auto fd = open_file(blob_path(repository, digest), O_RDONLY | O_NOFOLLOW);
    if (!fd.ok()) {
        Error error = std::move(fd).error();
        bool missing = error.error_number() == ENOENT || error.error_number() == ENOTDIR;
        return missing ? not_found("blob unknown to registry") : error;
    }

    struct stat status {};

    if (fstat(fd->get(), &status) != 0) {
        return errno_error("blob " + digest.to_string());
    }
    if (std::time(nullptr) - status.st_mtime > options_.touch_interval.count()) {
        futimens(fd->get(), nullptr); // the collector goes by this time
    }
    return OpenBlob{std::move(*fd), static_cast<std::uint64_t>(status.st_size)};
}

// `source` is a finished file, which is moved to the pool, or the pool's own. What has the name
// already stays, unless it was cut short by a power failure.
Result<Storage::Linked>
Storage::link_blob(const std::string& source, Repository& repository, const oci::Digest& digest) {
    std::string pool = pool_path(digest);
    std::string name = blob_path(repository.name, digest);
    std::shared_lock against_collector(repository.mutex);
    std::lock_guard lock(pool_mutex_);
    Linked linked;
    linked.in_pool = source != pool && TRY(move_file(source, pool));
    if (!linked.in_pool && source != pool && !TRY(same_size(source, pool))) {
        if ((unlink(name.c_str()) != 0 && errno != ENOENT) ||
            rename(source.c_str(), pool.c_str()) != 0) {
            return errno_error("replace blob " + digest.to_string());
        }
    }
    linked.in_repository = TRY(link_file(pool, name));
    if (!linked.in_pool) { // the repository's own may be another file, where the pool's was lost
        utimensat(AT_FDCWD, name.c_str(), nullptr, 0);
    }
    return linked;
}

// The name in the repository is what counts. The pool's may be lost with the power: the same bytes
// are then kept twice when they come again.
Result<void> Storage::sync_links(const Repository& repository, const oci::Digest& digest) {
    std::string path = layout_of(repository.name);
    return sync_directory(path.append("/blobs/").append(digest.algorithm()));
}

// REQUIRES: `temporary` is synced, and `size` reserved in both usages; what is not used of that is
// given back. The temporary name goes.
Result<void> Storage::publish(
    const std::string& temporary,
    Repository& repository,
    const oci::Digest& digest,
    std::uint64_t size) {
    auto linked = link_blob(temporary, repository, digest);
    unlink(temporary.c_str());
    if (!linked.ok() || !linked->in_pool) {
        total_.release(size);
    }
    if (!linked.ok() || !linked->in_repository) {
        repository.usage.release(size);
    }
    TRY(std::move(linked));
    return sync_links(repository, digest);
}

Result<bool>
Storage::mount(const std::string& from, const std::string& to, const oci::Digest& digest) {
    std::string source = from.empty() ? pool_path(digest) : blob_path(from, digest);

    struct stat status {};

    if (stat(source.c_str(), &status) != 0) {
        return false;
    }
    std::shared_ptr<Repository> target = TRY(ensure_repository(to));
    auto size = static_cast<std::uint64_t>(status.st_size);
    TRY(target->usage.reserve(size));
    auto linked = link_blob(pool_path(digest), *target, digest);
    if (!linked.ok() || !linked->in_repository) {
        target->usage.release(size);
    }
    if (!linked.ok()) {
        // Gone in between: the client sends the bytes then.
        return linked.error().error_number() == ENOENT ? Result<bool>(false)
                                                       : std::move(linked).error();
    }
    TRY(sync_links(*target, digest));
    return true;
}

void Storage::drop_from_pool(const oci::Digest& digest) {
    std::string path = pool_path(digest);
    std::lock_guard lock(pool_mutex_);

    struct stat status {};

    if (lstat(path.c_str(), &status) == 0 && status.st_nlink == 1 && unlink(path.c_str()) == 0) {
        total_.release(static_cast<std::uint64_t>(status.st_size));
    }
}

void Storage::unlink_blob(Repository& repository, const oci::Digest& digest) {
    std::string path = blob_path(repository.name, digest);

    struct stat status {};

    if (lstat(path.c_str(), &status) == 0 && unlink(path.c_str()) == 0) {
        repository.usage.release(static_cast<std::uint64_t>(status.st_size));
        drop_from_pool(digest);
    }
}

Result<void> Storage::remove_blob(const std::string& repository, const oci::Digest& digest) {
    std::shared_ptr<Repository> owner = TRY(loaded(repository));
    std::unique_lock lock(owner->mutex);
    // A manifest goes as one: the index would name what is not there.
    if (owner->index->find(digest.to_string()) != nullptr ||
        !exists(blob_path(repository, digest))) {
        return not_found("blob unknown to registry");
    }
    unlink_blob(*owner, digest);
    return ok();
}

// ---- uploads ----

// Closes the upload that was idle longest: its file stays, and it can be gone on with.
void Storage::make_upload_room(Uploads& uploads) {
    if (uploads.size() < options_.open_uploads) {
        return;
    }
    auto oldest = uploads.end();
    for (auto candidate = uploads.begin(); candidate != uploads.end(); ++candidate) {
        bool idle = candidate->second.use_count() == 1;
        if (idle &&
            (oldest == uploads.end() || candidate->second->last_use < oldest->second->last_use)) {
            oldest = candidate;
        }
    }
    if (oldest != uploads.end()) {
        uploads.erase(oldest);
    }
}

Result<std::shared_ptr<Upload>>
Storage::begin_upload(const std::string& repository, std::string_view algorithm) {
    oci::Digester digester = TRY(oci::Digester::create(algorithm));
    std::shared_ptr<Repository> owner = TRY(ensure_repository(repository));
    if (uploads_on_disk_.fetch_add(1) >= options_.uploads) {
        uploads_on_disk_.fetch_sub(1);
        return Error(
            ErrorKind::ResourceExhausted,
            "more than " + std::to_string(options_.uploads) + " uploads at once");
    }
    std::string id = random_hex(16);
    auto upload = Upload::create(
        id, owner, folder_of(repository) + "/_uploads/" + id, total_, std::move(digester));
    if (!upload.ok()) {
        uploads_on_disk_.fetch_sub(1);
        return upload;
    }
    (*upload)->last_use = Upload::Clock::now();
    auto uploads = uploads_.lock();
    make_upload_room(*uploads);
    if (uploads->size() >= options_.open_uploads) {
        unlink((*upload)->path.c_str());
        uploads_on_disk_.fetch_sub(1);
        return too_many_in_use(options_.open_uploads);
    }
    uploads->emplace(std::move(id), *upload);
    return upload;
}

Result<std::shared_ptr<Upload>>
Storage::find_upload(const std::string& repository, std::string_view id) {
    if (!is_upload_id(id)) {
        return not_found("blob upload unknown to registry");
    }
    std::shared_ptr<Repository> owner = find_repository(repository);
    if (!owner) {
        return not_found("blob upload unknown to registry");
    }
    TRY(load(*owner));
    auto uploads = uploads_.lock();
    if (auto found = uploads->find(id); found != uploads->end()) {
        found->second->last_use = Upload::Clock::now();
        return found->second->repository == owner ? Result<std::shared_ptr<Upload>>(found->second)
                                                  : not_found("blob upload unknown to registry");
    }
    // Under the lock, so that no two objects stand for one file. It opens and stats, no more.
    std::string path = folder_of(repository) + "/_uploads/" + std::string(id);
    auto upload = TRY(Upload::resume(std::string(id), owner, std::move(path), total_));
    make_upload_room(*uploads);
    if (uploads->size() >= options_.open_uploads) {
        return too_many_in_use(options_.open_uploads);
    }
    upload->last_use = Upload::Clock::now();
    uploads->emplace(std::string(id), upload);
    return upload;
}

void Storage::cancel_upload(Upload& upload) {
    if (upload.over) {
        return;
    }
    upload.over = true;
    unlink(upload.path.c_str());
    upload.give_back();
    uploads_.lock()->erase(upload.id);
    uploads_on_disk_.fetch_sub(1);
}

Result<void> Storage::finish_upload(Upload& upload, const oci::Digest& digest) {
    oci::Digest actual = TRY(upload.finish(digest.algorithm()));
    if (actual != digest) {
        cancel_upload(upload);
        return Error(
            ErrorKind::DataLoss,
            "the content has the digest " + actual.to_string() + ", not " + digest.to_string());
    }
    std::uint64_t size = upload.size();
    upload.forget_reservation();
    auto published = publish(upload.path, *upload.repository, digest, size);
    cancel_upload(upload);
    return published;
}

} // namespace berth::registry
