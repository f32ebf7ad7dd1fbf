// SPDX-License-Identifier: Apache-2.0
// index.json lists every manifest of a repository, those without a tag too: what it does not list
// is a blob and no manifest.
#include "base/random.h"
#include "base/strings.h"
#include "registry/storage.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace berth::registry {

namespace {

constexpr const char* tag_annotation = "org.opencontainers.image.ref.name";
// Ours: lets the referrers of a manifest be found without opening all of them.
constexpr const char* subject_annotation = "io.berth.registry.subject";
constexpr std::size_t index_limit = 256U << 20;

std::string annotation(const oci::Descriptor& entry, const char* name) {
    auto found = entry.annotations.find(name);
    return found == entry.annotations.end() ? std::string() : found->second;
}

bool matches(const oci::Descriptor& entry, std::string_view tag_or_digest) {
    return entry.digest.to_string() == tag_or_digest ||
           annotation(entry, tag_annotation) == tag_or_digest;
}

bool has_digest(const oci::Index& index, const oci::Digest& digest) {
    return std::ranges::find(index.manifests, digest, &oci::Descriptor::digest) !=
           index.manifests.end();
}

} // namespace

Result<oci::Index> Storage::read_index(const std::string& repository) const {
    auto text = read_file(layout_of(repository) + "/index.json", index_limit);
    if (!text.ok()) {
        Error error = std::move(text).error();
        bool missing = error.error_number() == ENOENT || error.error_number() == ENOTDIR;
        return missing ? not_found("repository name not known to registry") : error;
    }
    return json::decode_text<oci::Index>(*text, {.bytes = index_limit});
}

Result<void> Storage::write_index(const std::string& repository, const oci::Index& index) {
    return replace_file(layout_of(repository) + "/index.json", json::encode_text(index), 0640);
}

Result<StoredManifest>
Storage::manifest(const std::string& repository, std::string_view tag_or_digest) const {
    std::lock_guard lock(mutex_);
    oci::Index index = TRY(read_index(repository));
    for (oci::Descriptor& entry : index.manifests) {
        if (matches(entry, tag_or_digest)) {
            StoredManifest manifest;
            manifest.bytes =
                TRY(read_file(blob_path(repository, entry.digest), oci::ManifestLimits::bytes));
            manifest.descriptor = std::move(entry);
            return manifest;
        }
    }
    return not_found("manifest unknown");
}

Result<void> Storage::put_manifest(
    const std::string& repository,
    std::string_view tag,
    const StoredManifest& manifest,
    const oci::Digest& subject) {
    const oci::Digest& digest = manifest.descriptor.digest;
    // As any blob: written, synced, then given its name.
    std::string temporary = root_ + "/uploads/" + random_hex(16);
    TRY(replace_file(temporary, manifest.bytes, 0640));
    {
        std::lock_guard lock(mutex_);
        TRY(ensure_layout(repository));
    }
    auto published = publish(temporary, repository, digest);
    unlink(temporary.c_str());
    TRY(std::move(published));

    std::lock_guard lock(mutex_);
    oci::Index index = TRY(read_index(repository));
    oci::Descriptor entry = manifest.descriptor;
    if (!subject.empty()) {
        entry.annotations[subject_annotation] = subject.to_string();
    }
    std::optional<oci::Descriptor> orphan;
    std::erase_if(index.manifests, [&](const oci::Descriptor& other) {
        std::string name = annotation(other, tag_annotation);
        bool same = other.digest == digest;
        if (!tag.empty() && name == tag && !same) {
            orphan = other; // the tag moves; the old manifest stays known by its digest
            return true;
        }
        return same && (name.empty() || name == tag);
    });
    if (orphan && !has_digest(index, orphan->digest)) {
        orphan->annotations.erase(tag_annotation);
        index.manifests.push_back(*orphan);
    }
    if (!tag.empty()) {
        entry.annotations[tag_annotation] = std::string(tag);
    }
    if (!tag.empty() || !has_digest(index, digest)) {
        index.manifests.push_back(std::move(entry));
    }
    return write_index(repository, index);
}

Result<void>
Storage::remove_manifest(const std::string& repository, std::string_view tag_or_digest) {
    std::lock_guard lock(mutex_);
    oci::Index index = TRY(read_index(repository));
    auto digest = oci::Digest::parse(tag_or_digest);
    std::size_t before = index.manifests.size();
    std::optional<oci::Descriptor> untagged;
    std::erase_if(index.manifests, [&](const oci::Descriptor& entry) {
        if (!digest.ok() && matches(entry, tag_or_digest)) {
            untagged = entry;
        }
        return matches(entry, tag_or_digest);
    });
    if (index.manifests.size() == before) {
        return not_found("manifest unknown");
    }
    if (untagged && !has_digest(index, untagged->digest)) {
        untagged->annotations.erase(tag_annotation);
        index.manifests.push_back(*untagged);
    }
    TRY(write_index(repository, index));
    if (digest.ok()) {
        unlink(blob_path(repository, *digest).c_str());
        drop_from_pool(*digest);
    }
    return ok();
}

Result<std::vector<std::string>> Storage::tags(const std::string& repository) const {
    std::lock_guard lock(mutex_);
    std::vector<std::string> tags;
    for (const oci::Descriptor& entry : TRY(read_index(repository)).manifests) {
        if (std::string tag = annotation(entry, tag_annotation); !tag.empty()) {
            tags.push_back(std::move(tag));
        }
    }
    std::ranges::sort(tags);
    return tags;
}

Result<std::vector<StoredManifest>>
Storage::referrers(const std::string& repository, const oci::Digest& subject) const {
    std::lock_guard lock(mutex_);
    std::vector<StoredManifest> found;
    oci::Index index = TRY(read_index(repository));
    std::vector<oci::Digest> seen; // a manifest with two tags has two entries
    for (oci::Descriptor& entry : index.manifests) {
        if (annotation(entry, subject_annotation) != subject.to_string() ||
            std::ranges::find(seen, entry.digest) != seen.end()) {
            continue;
        }
        seen.push_back(entry.digest);
        StoredManifest manifest;
        manifest.bytes =
            TRY(read_file(blob_path(repository, entry.digest), oci::ManifestLimits::bytes));
        manifest.descriptor = std::move(entry);
        found.push_back(std::move(manifest));
    }
    return found;
}

} // namespace berth::registry
