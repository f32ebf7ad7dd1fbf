// SPDX-License-Identifier: Apache-2.0
// Mark and sweep. What keeps it right while images come and go: candidates are listed first, what
// they could be needed for is read second (leases before images, since an operation names its image
// before its lease ends), and each removal asks the leases once more, including those that were
// only there for a moment.
#include "store/garbage_collector.h"

#include <map>

namespace berth::store {

Result<void> GarbageCollector::mark_layer_blobs(Marks& marks) {
    for (const LayerInfo& layer : TRY(images_.layers().list())) {
        if (!marks.contains({ContentKind::Layer, layer.chain_id})) {
            continue;
        }
        for (const LayerBlob& blob : TRY(images_.layers().blobs(layer.diff_id))) {
            marks.insert({ContentKind::Blob, blob.digest});
        }
    }
    return ok();
}

Result<GarbageCollector::Marks> GarbageCollector::mark() {
    Marks marks = leases_.all();
    std::vector<Roots> others = *roots_.lock();
    for (const Roots& roots : others) {
        for (ContentKey& key : TRY(roots())) {
            marks.insert(std::move(key));
        }
    }
    LayerStore& layers = images_.layers();
    for (const std::string& id : TRY(layers.list_writable())) {
        Result<oci::Digest> parent = layers.parent_of(id);
        if (parent.ok() && !parent->empty()) { // removed meanwhile is fine
            marks.insert({ContentKind::Layer, *parent});
        }
    }
    for (ContentKey& key : TRY(images_.roots())) {
        marks.insert(std::move(key));
    }
    // A layer needs its parents.
    std::map<oci::Digest, oci::Digest> parents;
    for (const LayerInfo& layer : TRY(layers.list())) {
        parents.emplace(layer.chain_id, layer.parent);
    }
    for (const auto& [chain_id, parent] : parents) {
        if (!marks.contains({ContentKind::Layer, chain_id})) {
            continue;
        }
        oci::Digest next = parent;
        while (!next.empty() && marks.insert({ContentKind::Layer, next}).second) {
            next = parents[next];
        }
    }
    TRY(mark_layer_blobs(marks));
    return marks;
}

void GarbageCollector::add_roots(Roots roots) {
    roots_.lock()->push_back(std::move(roots));
}

Result<bool> GarbageCollector::Round::may_go_on() {
    if (stop.stop_requested()) {
        return Error(ErrorKind::Cancelled, "garbage collection was cancelled");
    }
    report.more = report.layers_removed + report.blobs_removed >= bound;
    return !report.more;
}

Result<CollectionReport>
GarbageCollector::collect(std::stop_token stop, CollectionOptions options) {
    std::lock_guard running(running_);
    Round round{.stop = std::move(stop), .bound = options.bound, .report = {}};
    Leases::Watch watch(leases_);
    std::vector<LayerInfo> layers = TRY(images_.layers().list());
    std::vector<BlobInfo> blobs = TRY(images_.blobs().list());
    const Timestamp limit{Timestamp::now().nanoseconds - options.minimum_age.count()};
    std::set<oci::Digest> released_blobs;
    for (const LayerInfo& layer : layers) {
        if (options.released.contains(layer.chain_id)) {
            for (const LayerBlob& blob : TRY(images_.layers().blobs(layer.diff_id))) {
                released_blobs.insert(blob.digest);
            }
        }
    }
    const auto is_spared = [&](Timestamp stored, bool released) {
        return !released && (options.only_released || stored > limit);
    };
    Marks marks = TRY(mark());
    std::erase_if(layers, [&](const LayerInfo& layer) {
        return is_spared(layer.created, options.released.contains(layer.chain_id)) ||
               marks.contains({ContentKind::Layer, layer.chain_id});
    });
    std::erase_if(blobs, [&](const BlobInfo& blob) {
        return is_spared(blob.stored, released_blobs.contains(blob.digest)) ||
               marks.contains({ContentKind::Blob, blob.digest});
    });
    TRY(sweep_layers(round, std::move(layers)));
    TRY(sweep_blobs(round, blobs));
    if (options.partials) {
        round.report.partials_removed = images_.blobs().remove_partials(options.minimum_age);
    }
    return round.report;
}

// Children before their parents, which cannot go while they have any: so pass after pass, until
// nothing more goes.
Result<void> GarbageCollector::sweep_layers(Round& round, std::vector<LayerInfo> layers) {
    bool progress = true;
    while (progress) {
        progress = false;
        std::vector<LayerInfo> left;
        for (LayerInfo& layer : layers) {
            const bool goes_on = TRY(round.may_go_on());
            if (!goes_on) {
                return ok();
            }
            Result<bool> removed = leases_.unless_held({ContentKind::Layer, layer.chain_id}, [&] {
                return images_.layers().remove(layer.chain_id);
            });
            if (removed.ok() && *removed) {
                ++round.report.layers_removed;
                round.report.bytes_reclaimed += layer.size;
                progress = true;
            } else if (!removed.ok() && removed.error().kind() == ErrorKind::Conflict) {
                left.push_back(std::move(layer));
            } else if (!removed.ok()) {
                return std::move(removed).error();
            }
        }
        layers = std::move(left);
    }
    return ok();
}

Result<void> GarbageCollector::sweep_blobs(Round& round, const std::vector<BlobInfo>& blobs) {
    for (const BlobInfo& blob : blobs) {
        const bool goes_on = TRY(round.may_go_on());
        if (!goes_on) {
            return ok();
        }
        // Both while nobody can hold it: what is known of a blob that comes again meanwhile stays.
        bool removed =
            TRY(leases_.unless_held({ContentKind::Blob, blob.digest}, [&]() -> Result<void> {
                TRY(images_.layers().forget_blob(blob.digest));
                return images_.blobs().remove(blob.digest);
            }));
        if (removed) {
            ++round.report.blobs_removed;
            round.report.bytes_reclaimed += blob.size;
        }
    }
    return ok();
}

} // namespace berth::store
