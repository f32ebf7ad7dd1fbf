// SPDX-License-Identifier: Apache-2.0
// Uploads in progress. Each holds a descriptor and a file, so their number is limited.
#include "base/random.h"
#include "registry/storage.h"

#include <fcntl.h>
#include <unistd.h>

namespace berth::registry {

namespace {

constexpr std::size_t upload_limit = 1024;

} // namespace

Result<std::shared_ptr<Upload>> Storage::begin_upload(const std::string& repository) {
    {
        std::lock_guard lock(mutex_);
        TRY(ensure_layout(repository));
    }
    std::string id = random_hex(16);
    std::string path = root_ + "/uploads/" + id;
    auto upload = std::make_shared<Upload>(id, repository, path);
    upload->fd = TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0640));
    auto guard = uploads_.lock();
    if (guard->size() >= upload_limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            "more than " + std::to_string(upload_limit) + " uploads at once");
    }
    guard->emplace(id, upload);
    return upload;
}

Result<std::shared_ptr<Upload>>
Storage::find_upload(const std::string& repository, std::string_view id) const {
    auto guard = uploads_.lock();
    auto found = guard->find(id);
    if (found == guard->end() || found->second->repository != repository) {
        return not_found("blob upload unknown to registry");
    }
    return found->second;
}

void Storage::cancel_upload(const std::string& id) {
    uploads_.lock()->erase(id);
}

Result<void> Storage::finish_upload(Upload& upload, const oci::Digest& digest) {
    cancel_upload(upload.id); // the caller keeps it alive
    if (upload.hash.finish_hex() != digest.hex()) {
        return Error(ErrorKind::DataLoss, "provided digest did not match uploaded content");
    }
    if (fdatasync(upload.fd.get()) != 0) {
        return errno_error("sync " + upload.path());
    }
    return publish(upload.path(), upload.repository, digest);
}

} // namespace berth::registry
