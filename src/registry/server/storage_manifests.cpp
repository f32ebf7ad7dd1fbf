// SPDX-License-Identifier: Apache-2.0
// Manifests are blobs that the index lists. A change is written before it is seen, by one writer of
// a repository at a time; readers wait for none.
#include "base/random.h"
#include "oci/manifest.h"
#include "registry/server/storage.h"
#include "registry/server/storage_files.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::registry {

namespace {

// What a manifest's bytes must hash to; a flipped bit on disk is not passed on.
Result<void> check_bytes(const oci::Digest& digest, std::string_view bytes) {
    if (oci::digest_of(digest.algorithm(), bytes) != digest) {
        return Error(ErrorKind::DataLoss, "manifest " + digest.to_string() + " is damaged on disk");
    }
    return ok();
}

} // namespace

Result<ManifestCache::Bytes>
Storage::manifest_bytes(const Repository& repository, const oci::Descriptor& descriptor) {
    const std::string& key = descriptor.digest.to_string();
    if (ManifestCache::Bytes known = manifests_.find(key)) {
        return known;
    }
    std::string path = blob_path(repository.name, descriptor.digest);
    std::string bytes = TRY(read_file(path, oci::ManifestLimits::bytes));
    TRY(check_bytes(descriptor.digest, bytes));
    auto shared = std::make_shared<const std::string>(std::move(bytes));
    manifests_.put(key, shared);
    return ManifestCache::Bytes(shared);
}

Result<StoredManifest>
Storage::manifest(const std::string& repository, std::string_view tag_or_digest) {
    std::shared_ptr<Repository> owner = TRY(loaded(repository));
    std::shared_lock lock(owner->mutex);
    const ManifestEntry* entry = owner->index->find(tag_or_digest);
    if (entry == nullptr) {
        return not_found("manifest unknown");
    }
    StoredManifest manifest;
    manifest.bytes = TRY(manifest_bytes(*owner, entry->descriptor));
    manifest.descriptor = entry->descriptor;
    return manifest;
}

Result<std::optional<oci::Digest>>
Storage::put_manifest(const std::string& repository, const NewManifest& manifest) {
    std::shared_ptr<Repository> owner = TRY(ensure_repository(repository));
    std::lock_guard writer(owner->writing); // the collector waits: what is found now stays
    for (const oci::Digest& reference : manifest.references) {
        if (!exists(blob_path(repository, reference))) {
            return std::optional(reference);
        }
    }
    std::uint64_t size = manifest.bytes.size();
    TRY(owner->usage.reserve(size));
    if (auto total = total_.reserve(size); !total.ok()) {
        owner->usage.release(size);
        return std::move(total).error();
    }
    // As any blob: written, synced, then given its name.
    std::string temporary = options_.root + "/tmp/" + random_hex(16);
    if (auto written = write_synced(temporary, manifest.bytes); !written.ok()) {
        owner->usage.release(size);
        total_.release(size);
        return std::move(written).error();
    }
    TRY(publish(temporary, *owner, manifest.descriptor.digest, size));
    ManifestEntry entry{.descriptor = manifest.descriptor, .subject = manifest.subject};
    const ManifestEntry* known = owner->index->find(entry.descriptor.digest.to_string());
    const ManifestEntry* named = manifest.tag.empty() ? known : owner->index->find(manifest.tag);
    if (known == nullptr || *known != entry || named != known) {
        TRY(commit(*owner, {.put = {.entry = std::move(entry), .tag = manifest.tag}}));
    }
    return std::optional<oci::Digest>();
}

Result<void>
Storage::remove_manifest(const std::string& repository, std::string_view tag_or_digest) {
    std::shared_ptr<Repository> owner = TRY(loaded(repository));
    std::lock_guard writer(owner->writing);
    auto digest = oci::Digest::parse(tag_or_digest);
    const RepositoryIndex& index = *owner->index;
    bool known = digest.ok() ? index.manifests().contains(tag_or_digest)
                             : index.tags().contains(tag_or_digest);
    if (!known) {
        return not_found("manifest unknown");
    }
    IndexChange change{.removed = std::string(tag_or_digest)};
    change.kind = digest.ok() ? IndexChange::Kind::RemoveManifest : IndexChange::Kind::RemoveTag;
    TRY(commit(*owner, std::move(change)));
    if (!digest.ok()) {
        return ok();
    }
    if (owner->journal.changes > 0) { // index.json still names it
        owner->journal.doomed.push_back({std::move(*digest), std::time(nullptr)});
        return ok();
    }
    std::unique_lock lock(owner->mutex);
    unlink_blob(*owner, *digest);
    return ok();
}

Result<NamePage>
Storage::tags(const std::string& repository, std::string_view last, std::size_t count) {
    std::shared_ptr<Repository> owner = TRY(loaded(repository));
    std::shared_lock lock(owner->mutex);
    const auto& tags = owner->index->tags();
    NamePage page;
    auto next = last.empty() ? tags.begin() : tags.upper_bound(last);
    for (; next != tags.end() && page.names.size() < count; ++next) {
        page.names.push_back(next->first);
    }
    page.more = next != tags.end();
    return page;
}

Result<std::vector<std::string>>
Storage::referrers(const std::string& repository, const oci::Digest& subject) {
    std::shared_ptr<Repository> owner = TRY(loaded(repository));
    std::shared_lock lock(owner->mutex);
    return owner->index->referrers(subject.to_string());
}

void Storage::note_use(const std::string& repository, const oci::Digest& manifest) const {
    std::string path = blob_path(repository, manifest);

    struct stat status {};

    if (stat(path.c_str(), &status) == 0 &&
        std::time(nullptr) - status.st_mtime > options_.touch_interval.count()) {
        utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
    }
}

Result<oci::Descriptor>
Storage::describe_blob(const std::string& repository, const oci::Digest& digest) {
    std::shared_ptr<Repository> owner = TRY(loaded(repository));
    std::shared_lock lock(owner->mutex);
    for (const auto& [name, entry] : owner->index->manifests()) {
        auto bytes = manifest_bytes(*owner, entry.descriptor);
        auto document = bytes.ok() && (*bytes)->find(digest.hex()) != std::string::npos
                            ? oci::parse_manifest(**bytes, entry.descriptor.media_type)
                            : Result<oci::ManifestDocument>(not_found("not in this one"));
        if (!document.ok() || !std::holds_alternative<oci::Manifest>(*document)) {
            continue;
        }
        auto& manifest = std::get<oci::Manifest>(*document);
        manifest.layers.push_back(manifest.config);
        auto layer = std::ranges::find(manifest.layers, digest, &oci::Descriptor::digest);
        if (layer != manifest.layers.end()) {
            return *layer;
        }
    }
    return not_found("blob unknown to registry");
}

} // namespace berth::registry
