// SPDX-License-Identifier: Apache-2.0
// Garbage collection by mark and sweep while pushes and pulls go on.
//
// A client sends blobs first and the manifest that names them last, and skips blobs that it is told
// are there. So in between they look like garbage. Two things keep them: what was made, mounted,
// sent again or asked for within the grace period is not taken (the file's modification time, which
// these renew), and a manifest's references are checked under the same lock that the sweep of its
// repository holds. Marking takes no lock but for moments; what is pushed meanwhile is marked when
// the sweep has the lock. A process that is killed leaves whole links only: each removal is one.
#include "base/log.h"
#include "oci/manifest.h"
#include "registry/server/storage.h"
#include "registry/server/storage_files.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include <sys/stat.h>
#include <unistd.h>

namespace berth::registry {

namespace {

constexpr std::size_t batch = 64; // removals without letting readers in

struct References {
    std::vector<std::string> manifests; // digests
    std::vector<std::string> blobs;
};

References references_of(const oci::ManifestDocument& document) {
    References found;
    if (const auto* index = std::get_if<oci::Index>(&document)) {
        for (const oci::Descriptor& entry : index->manifests) {
            found.manifests.push_back(entry.digest.to_string());
        }
        return found;
    }
    const auto& manifest = std::get<oci::Manifest>(document);
    found.blobs.push_back(manifest.config.digest.to_string());
    for (const oci::Descriptor& layer : manifest.layers) {
        found.blobs.push_back(layer.digest.to_string());
    }
    return found;
}

} // namespace

struct Storage::Marks {
    const std::stop_token& stop;
    std::time_t young; // what was used since then stays
    std::unordered_map<std::string, References> manifests;
};

// Reads what each manifest refers to. One that cannot be read makes the repository be left alone.
Result<void> Storage::mark_manifests(Repository& repository, Marks& marks) {
    std::vector<oci::Descriptor> unread;
    {
        std::shared_lock lock(repository.mutex);
        for (const auto& [digest, entry] : repository.index->manifests()) {
            if (!marks.manifests.contains(digest)) {
                unread.push_back(entry.descriptor);
            }
        }
    }
    for (const oci::Descriptor& descriptor : unread) {
        if (marks.stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "the collection was stopped");
        }
        ManifestCache::Bytes bytes = TRY(manifest_bytes(repository, descriptor));
        auto document = TRY_CONTEXT(
            oci::parse_manifest(*bytes, descriptor.media_type), descriptor.digest.to_string());
        marks.manifests.emplace(descriptor.digest.to_string(), references_of(document));
    }
    return ok();
}

// Manifests live by a tag, by an index that lives, or by a subject that lives.
Result<void> Storage::remove_untagged(Repository& repository, Marks& marks, CollectReport& report) {
    RepositoryIndex changed;
    {
        std::shared_lock lock(repository.mutex);
        changed = *repository.index;
    }
    std::set<std::string> live;
    std::vector<std::string> next;
    for (const auto& [tag, digest] : changed.tags()) {
        next.push_back(digest);
    }
    for (const auto& [digest, entry] : changed.manifests()) {
        if (!is_older(blob_path(repository.name, entry.descriptor.digest), marks.young)) {
            next.push_back(digest);
        }
    }
    while (!next.empty()) {
        std::string digest = std::move(next.back());
        next.pop_back();
        if (!live.insert(digest).second) {
            continue;
        }
        if (auto found = marks.manifests.find(digest); found != marks.manifests.end()) {
            next.insert(next.end(), found->second.manifests.begin(), found->second.manifests.end());
        }
        for (std::string& referrer : changed.referrers(digest)) {
            next.push_back(std::move(referrer));
        }
    }
    std::vector<oci::Digest> doomed;
    for (const auto& [digest, entry] : changed.manifests()) {
        if (!live.contains(digest)) {
            doomed.push_back(entry.descriptor.digest);
        }
    }
    for (const oci::Digest& digest : doomed) {
        marks.manifests.erase(digest.to_string());
    }
    return remove_manifests(repository, std::move(changed), doomed, report);
}

// In a cache all can be had again: what is used stays, and only that.
Result<void> Storage::remove_unused(Repository& repository, Marks& marks, CollectReport& report) {
    RepositoryIndex changed;
    {
        std::shared_lock lock(repository.mutex);
        changed = *repository.index;
    }
    std::vector<oci::Digest> doomed;
    for (const auto& [name, entry] : changed.manifests()) {
        if (is_older(blob_path(repository.name, entry.descriptor.digest), marks.young)) {
            doomed.push_back(entry.descriptor.digest);
        } else {
            marks.manifests.emplace(name, References());
        }
    }
    return remove_manifests(repository, std::move(changed), doomed, report);
}

// Their bytes go with the blobs.
Result<void> Storage::remove_manifests(
    Repository& repository,
    RepositoryIndex changed,
    const std::vector<oci::Digest>& doomed,
    CollectReport& report) {
    if (doomed.empty()) {
        return ok();
    }
    for (const oci::Digest& digest : doomed) {
        changed.remove_manifest(digest.to_string());
    }
    changed.set_changes(changed.changes() + 1);
    TRY(replace_index(repository, std::move(changed)));
    report.manifests += doomed.size();
    return ok();
}

Result<void>
Storage::sweep_blobs(Repository& repository, const Marks& marks, CollectReport& report) {
    std::set<std::string_view> live;
    for (const auto& [digest, references] : marks.manifests) {
        live.insert(digest);
        live.insert(references.blobs.begin(), references.blobs.end());
        live.insert(references.manifests.begin(), references.manifests.end());
    }
    std::vector<oci::Digest> garbage;
    for (const char* algorithm : oci::blob_algorithms) {
        auto names = list_directory(layout_of(repository.name) + "/blobs/" + algorithm);
        if (!names.ok()) {
            continue;
        }
        for (const std::string& name : *names) {
            auto digest = oci::Digest::parse(std::string(algorithm) + ":" + name);
            if (digest.ok() && !live.contains(digest->to_string())) {
                garbage.push_back(std::move(*digest));
            }
        }
    }
    for (std::size_t i = 0; i < garbage.size();) {
        if (marks.stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "the collection was stopped");
        }
        std::unique_lock lock(repository.mutex);
        for (std::size_t end = std::min(i + batch, garbage.size()); i < end; ++i) {
            std::uint64_t size = 0;
            if (is_older(blob_path(repository.name, garbage[i]), marks.young, &size)) {
                unlink_blob(repository, garbage[i]);
                report.blobs += 1;
                report.bytes += size;
            }
        }
    }
    return ok();
}

void Storage::sweep_uploads(
    const Repository& repository, const CollectOptions& options, CollectReport& report) {
    std::time_t young = std::time(nullptr) - options.upload_age.count();
    std::string folder = folder_of(repository.name) + "/_uploads/";
    auto names = list_directory(folder);
    if (!names.ok()) {
        return;
    }
    for (const std::string& name : *names) {
        std::uint64_t size = 0;
        if (!is_older(folder + name, young, &size)) {
            continue;
        }
        auto upload = find_upload(repository.name, name);
        if (!upload.ok()) {
            continue; // too many are open, or it just ended: the next time
        }
        std::unique_lock lock((*upload)->mutex, std::try_to_lock);
        if (lock.owns_lock() && is_older(folder + name, young)) {
            cancel_upload(**upload);
            report.uploads += 1;
            report.bytes += size;
        }
    }
}

Result<void> Storage::collect_repository(
    Repository& repository, const CollectOptions& options, CollectReport& report) {
    TRY(load(repository));
    bool by_use = options.keep.count() > 0;
    auto age = by_use ? options.keep : options.grace;
    Marks marks{.stop = options.stop, .young = std::time(nullptr) - age.count()};
    if (by_use) {
        std::lock_guard writer(repository.writing);
        TRY(settle(repository));
        TRY(remove_unused(repository, marks, report));
        TRY(sweep_blobs(repository, marks, report));
    } else {
        TRY(mark_manifests(repository, marks));
        std::lock_guard writer(repository.writing);
        TRY(settle(repository));
        TRY(mark_manifests(repository, marks)); // what came meanwhile
        if (options.untagged) {
            TRY(remove_untagged(repository, marks, report));
        }
        TRY(sweep_blobs(repository, marks, report));
    }
    sweep_uploads(repository, options, report);
    return ok();
}

Result<CollectReport> Storage::collect(const CollectOptions& options) {
    std::unique_lock only_one(collecting_, std::try_to_lock);
    if (!only_one.owns_lock()) {
        return conflict("a collection or a check is running already");
    }
    CollectReport report;
    for (const std::shared_ptr<Repository>& repository : all_repositories()) {
        auto collected = collect_repository(*repository, options, report);
        if (options.stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "the collection was stopped");
        }
        if (!collected.ok()) {
            report.skipped += 1;
            log::warn(
                "a repository cannot be collected, ignoring",
                {{"repository", repository->name}, {"error", collected.error().message()}});
        }
    }
    return report;
}

} // namespace berth::registry
