// SPDX-License-Identifier: Apache-2.0
// Two questions: what is each record on the disk, and in which order do records go. Of a layer that
// several steps stand on, the first step has the size, so that the sizes of all records together
// are what the cache takes.
#include "build/build_cache.h"

#include <algorithm>
#include <map>
#include <set>

#include <sys/statvfs.h>

namespace berth::build {

struct BuildCache::Entry {
    CacheRecord record;
    std::string key; // of a step; of a mount its name
    bool is_mount = false;
    oci::Digest image;
    oci::Digest parent;
    oci::Digest chain_id;
};

namespace {

constexpr std::size_t id_digits = 25; // as many as BuildKit's ids have letters
constexpr std::string_view step_type = "regular";
constexpr std::string_view mount_type = "exec.cachemount";

using StepsByImage = std::map<oci::Digest, const CachedStep*>;

std::string id_of(std::string_view key) {
    return std::string(key.substr(0, id_digits));
}

std::uint64_t free_space(const std::string& path) {
    struct statvfs status {};

    return ::statvfs(path.c_str(), &status) == 0 ? status.f_bavail * status.f_frsize : 0;
}

} // namespace

// What belongs to whom.
class BuildCache::Survey {
  public:
    explicit Survey(store::Store& store)
        : store_(store) {}

    // `work`: writable layers of builds, which count as the cache's.
    Result<void> read(const std::vector<std::string>& work) {
        for (store::LayerInfo& layer : TRY(store_.layers().list())) {
            layers_.emplace(layer.chain_id, std::move(layer));
        }
        store::DiskUsage usage = TRY(store_.images().disk_usage());
        spare_ = std::move(usage.others);
        for (const store::ImageUsage& image : usage.images) {
            images_.insert(image.id);
        }
        for (const std::string& id : TRY(store_.layers().list_writable())) {
            auto parent = store_.layers().parent_of(id);
            if (!parent.ok() || std::find(work.begin(), work.end(), id) != work.end()) {
                continue; // removed meanwhile is fine
            }
            TRY(take(*parent));
        }
        return ok();
    }

    bool has_layer(const oci::Digest& chain_id) const { return layers_.contains(chain_id); }

    // What the cache alone keeps below here and nobody was given yet.
    Result<std::uint64_t> take(const oci::Digest& chain_id) {
        std::uint64_t size = 0;
        for (auto layer = layers_.find(chain_id); layer != layers_.end();
             layer = layers_.find(layer->second.parent)) {
            const auto spare = spare_.find({store::ContentKind::Layer, layer->first});
            if (spare == spare_.end()) {
                break; // then somebody has the layers below it, too
            }
            size += spare->second;
            spare_.erase(spare);
            for (const store::LayerBlob& blob : TRY(store_.layers().blobs(layer->second.diff_id))) {
                const auto kept = spare_.find({store::ContentKind::Blob, blob.digest});
                if (kept != spare_.end()) {
                    size += kept->second;
                    spare_.erase(kept);
                }
            }
        }
        return size;
    }

    // Steps of images, those without a layer too, and steps whose layers others have.
    std::set<const CachedStep*>
    shared_of(const std::vector<CachedStep>& steps, const StepsByImage& by_image) const {
        std::set<const CachedStep*> shared;
        std::set<const CachedStep*> walked;
        for (const CachedStep& step : steps) {
            if (step.has_layer && is_held(step.chain_id)) {
                shared.insert(&step);
            }
            if (!images_.contains(step.image)) {
                continue;
            }
            for (auto found = by_image.find(step.image);
                 found != by_image.end() && walked.insert(found->second).second;
                 found = by_image.find(found->second->parent)) {
                shared.insert(found->second);
            }
        }
        return shared;
    }

    Result<Entry> describe(const CachedStep& step, bool shared) {
        Entry entry{
            .record = {},
            .key = step.key,
            .image = step.image,
            .parent = step.parent,
            .chain_id = step.chain_id};
        CacheRecord& record = entry.record;
        record.id = id_of(step.key);
        record.type = step_type;
        record.description = step.description;
        record.shared = shared;
        record.size = TRY(take(step.chain_id));
        if (shared && record.size == 0 && step.has_layer) {
            record.size = size_of(step.chain_id);
        }
        record.in_use = !step.chain_id.empty() &&
                        store_.leases().holds({store::ContentKind::Layer, step.chain_id});
        record.created = step.created;
        record.last_used = step.used;
        record.usage_count = step.uses;
        return entry;
    }

  private:
    std::uint64_t size_of(const oci::Digest& chain_id) const {
        const auto found = layers_.find(chain_id);
        return found == layers_.end() ? 0 : store_.layers().size_on_disk(found->second);
    }

    // Whether an image or a container has the layer; asked before the first step takes any.
    bool is_held(const oci::Digest& chain_id) const {
        return layers_.contains(chain_id) &&
               !spare_.contains({store::ContentKind::Layer, chain_id});
    }

    store::Store& store_;
    std::map<oci::Digest, store::LayerInfo> layers_;
    std::map<store::ContentKey, std::uint64_t> spare_;
    std::set<oci::Digest> images_;
};

// Steps whose layers a power cut or a repair took.
Result<void> BuildCache::forget_lost(const Survey& survey, std::vector<CachedStep>& steps) {
    std::vector<std::string> lost;
    std::erase_if(steps, [&](const CachedStep& step) {
        const bool is_lost = !step.chain_id.empty() && !survey.has_layer(step.chain_id);
        if (is_lost) {
            lost.push_back(step.key);
        }
        return is_lost;
    });
    return lost.empty() ? ok() : database_.remove_steps(lost);
}

Result<std::vector<BuildCache::Entry>> BuildCache::entries() {
    std::vector<CachedStep> steps = TRY(database_.list_steps());
    Survey survey(store_);
    const auto work = TRY(database_.list_work());
    TRY(survey.read(work));
    TRY(forget_lost(survey, steps));
    // Parents before children, so that the first step on a layer gets its size.
    std::stable_sort(steps.begin(), steps.end(), [](const CachedStep& a, const CachedStep& b) {
        return a.created < b.created;
    });
    StepsByImage by_image;
    for (const CachedStep& step : steps) {
        by_image.emplace(step.image, &step);
    }
    const std::set<const CachedStep*> shared = survey.shared_of(steps, by_image);
    std::vector<Entry> entries;
    for (const CachedStep& step : steps) {
        Entry entry = TRY(survey.describe(step, shared.contains(&step)));
        if (const auto parent = by_image.find(step.parent); parent != by_image.end()) {
            entry.record.parents.push_back(id_of(parent->second->key));
        }
        entries.push_back(std::move(entry));
    }
    for (CacheMount& mount : TRY(mounts_.list())) {
        Entry entry{
            .record = {},
            .key = mount.row.name,
            .is_mount = true,
            .image = {},
            .parent = {},
            .chain_id = {}};
        entry.record = {
            .id = id_of(mount.row.name),
            .parents = {},
            .type = std::string(mount_type),
            .description = mount.row.description,
            .in_use = mount.in_use,
            .size = mount.size,
            .created = mount.row.created,
            .last_used = mount.row.used,
            .usage_count = mount.row.uses};
        entries.push_back(std::move(entry));
    }
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        return a.record.last_used < b.record.last_used;
    });
    return entries;
}

Result<std::vector<CacheRecord>> BuildCache::records() {
    std::vector<CacheRecord> records;
    for (Entry& entry : TRY(entries())) {
        records.push_back(std::move(entry.record));
    }
    return records;
}

// Chooses leaves, the least recently used first; a step becomes one when its last child is chosen.
class BuildCache::Pruning {
  public:
    Pruning(const std::vector<Entry>& entries, const CacheRule& rule)
        : entries_(entries)
        , rule_(rule)
        , unused_since_{Timestamp::now().nanoseconds - rule.unused_for.count()} {}

    std::vector<const Entry*> choose(std::uint64_t free, std::size_t bound) {
        std::uint64_t used = 0;
        std::map<oci::Digest, std::size_t> children;
        std::map<oci::Digest, std::size_t> positions;
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            const Entry& entry = entries_[i];
            used += entry.record.shared ? 0 : entry.record.size;
            if (!entry.is_mount) {
                positions.emplace(entry.image, i);
                ++children[entry.parent];
            }
        }
        const auto keep = space_to_keep(rule_, used, free);
        std::set<std::size_t> leaves; // they are numbered by their last use
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            if (entries_[i].is_mount || !children.contains(entries_[i].image)) {
                leaves.insert(i);
            }
        }
        std::vector<const Entry*> chosen;
        while (!leaves.empty() && chosen.size() < bound && (!keep || used > *keep)) {
            const Entry& entry = entries_[*leaves.begin()];
            leaves.erase(leaves.begin());
            // With a size to reach, nothing goes that frees nothing.
            if (!may_go(entry.record) || (keep && entry.record.shared)) {
                continue;
            }
            chosen.push_back(&entry);
            used -= entry.record.shared ? 0 : entry.record.size;
            const auto parent = positions.find(entry.parent);
            if (!entry.is_mount && --children[entry.parent] == 0 && parent != positions.end()) {
                leaves.insert(parent->second);
            }
        }
        return chosen;
    }

  private:
    bool may_go(const CacheRecord& record) const {
        return !record.in_use && (rule_.all || !record.shared) &&
               record.last_used <= unused_since_ && matches(record, rule_.filters);
    }

    const std::vector<Entry>& entries_;
    const CacheRule& rule_;
    Timestamp unused_since_;
};

void BuildCache::add_chain(const oci::Digest& chain_id, std::set<oci::Digest>& chain) {
    oci::Digest next = chain_id;
    while (!next.empty() && chain.insert(next).second) {
        const auto layer = store_.layers().get(next);
        next = layer.ok() ? layer->parent : oci::Digest();
    }
}

Result<CachePruneReport> BuildCache::prune(const CacheRule& rule, std::size_t bound) {
    TRY(check_filters(rule.filters));
    const std::vector<Entry> all = TRY(entries());
    const std::vector<const Entry*> chosen = Pruning(all, rule).choose(free_space(root_), bound);
    CachePruneReport report;
    report.more = chosen.size() == bound;
    std::vector<std::string> keys;
    for (const Entry* entry : chosen) {
        if (entry->is_mount) {
            if (!TRY(mounts_.remove(entry->key))) {
                continue; // a build has begun to use it
            }
        } else {
            keys.push_back(entry->key);
            add_chain(entry->chain_id, report.released);
        }
        report.deleted.push_back(entry->record.id);
        report.space_reclaimed += entry->record.shared ? 0 : entry->record.size;
    }
    TRY(database_.remove_steps(keys));
    return report;
}

Result<std::vector<store::ContentKey>> BuildCache::roots(const BuildDatabase& database) {
    std::vector<store::ContentKey> keys;
    for (const CachedStep& step : TRY(database.list_steps())) {
        if (!step.chain_id.empty()) {
            keys.push_back({store::ContentKind::Layer, step.chain_id});
        }
    }
    return keys;
}

} // namespace berth::build
