// SPDX-License-Identifier: Apache-2.0
// Metadata first (what else is looked at comes from it), then blobs, layers, images and leftovers.
// Work goes on meanwhile: what vanished since it was listed is no problem, nor is what a pull or a
// build has in the making.
#include "store/store_check.h"

#include "base/file.h"
#include "codec/sha256.h"
#include "codec/stream.h"
#include "store/tree_removal.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {

namespace {

// Below tmp: swept at each start, so what is there belongs to work that goes on, however long ago
// it began; a directory does not show that files far below it are written.
constexpr std::array<std::string_view, 4> own_prefixes{"blob-", "layer-", "tmp-", "trash-"};

bool is_own(std::string_view name) {
    return std::ranges::any_of(
        own_prefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

struct ImageRow {
    oci::Digest id;
    std::string config;
    std::string manifest;
    std::string chain_id;
    std::string name;
};

class Check {
  public:
    Check(
        Store& store,
        const std::string& root,
        const CheckOptions& options,
        const ProblemCallback& report)
        : store_(store)
        , root_(root)
        , options_(options)
        , report_(report) {}

    Result<CheckReport> run(const std::stop_token& stop) {
        TRY(check_metadata());
        TRY(learn_images());
        TRY(check_blobs(stop));
        TRY(check_layers(stop));
        TRY(check_images());
        TRY(check_leftovers());
        return result_;
    }

  private:
    void tell(const Problem& problem) {
        ++result_.problems;
        result_.repaired += problem.repaired ? 1 : 0;
        report_(problem);
    }

    // Runs the repair where one is asked for, and tells how it went.
    void handle(Problem problem, const std::function<Result<std::string>()>& repair) {
        if (options_.repair) {
            Result<std::string> remedy = repair();
            problem.repaired = remedy.ok();
            problem.remedy = remedy.ok() ? *std::move(remedy) : remedy.error().message();
        }
        tell(problem);
    }

    Result<void> check_metadata();
    Result<void> learn_images();
    Result<void> check_blobs(const std::stop_token& stop);
    Result<void> check_blob(const BlobInfo& blob);
    Result<std::string> mend_blob(const oci::Digest& digest);
    Result<void> forget_blob(const oci::Digest& digest);
    Result<bool> make_layer_blob_again(Lease& lease, const oci::Digest& digest);
    Result<void> check_layers(const std::stop_token& stop);
    Result<void> check_images();
    Result<void> check_leftovers();
    void discard_leftover(const std::string& path, const std::string& message);

    std::vector<std::string> images_of(const oci::Digest& blob) const;

    Store& store_;
    const std::string& root_;
    const CheckOptions& options_;
    const ProblemCallback& report_;
    CheckReport result_;
    std::vector<ImageRow> images_;
    std::map<oci::Digest, LayerInfo> layers_;
    std::multimap<oci::Digest, oci::Digest> diff_ids_;   // blob -> diff id
    std::set<std::string> mended_;                       // blobs that went
    std::map<oci::Digest, std::set<std::string>> users_; // blob or layer -> image names
};

Result<void> Check::check_metadata() {
    std::vector<std::string> findings;
    {
        Session session = store_.database().session();
        Statement integrity = TRY(session.prepare("PRAGMA integrity_check"));
        while (TRY(integrity.step())) {
            if (integrity.text(0) != "ok") {
                findings.push_back(integrity.text_copy(0));
            }
        }
        Statement references = TRY(session.prepare("PRAGMA foreign_key_check"));
        while (TRY(references.step())) {
            findings.push_back(
                "a row of " + references.text_copy(0) + " refers to a row of " +
                references.text_copy(2) + " that is not there");
        }
    }
    for (std::string& finding : findings) {
        tell(
            {.kind = "metadata",
             .subject = "metadata.db",
             .message = std::move(finding),
             .images = {},
             .remedy = "stop the engine and restore metadata.db from a copy"});
    }
    return ok();
}

Result<void> Check::learn_images() {
    {
        Session session = store_.database().session();
        Statement query = TRY(session.prepare(
            "SELECT id, config, manifest, chain_id, (SELECT min(name) FROM image_names WHERE image "
            "= images.id) FROM images"));
        while (TRY(query.step())) {
            ImageRow image;
            image.id = TRY(oci::Digest::parse(query.text(0)));
            image.config = query.text_copy(1);
            image.manifest = query.text_copy(2);
            image.chain_id = query.text_copy(3);
            image.name = query.text_copy(4);
            images_.push_back(std::move(image));
        }
        Statement blobs = TRY(session.prepare("SELECT digest, diff_id FROM layer_blobs"));
        while (TRY(blobs.step())) {
            diff_ids_.emplace(
                TRY(oci::Digest::parse(blobs.text(0))), TRY(oci::Digest::parse(blobs.text(1))));
        }
    }
    for (LayerInfo& layer : TRY(store_.layers().list())) {
        layers_.emplace(layer.chain_id, std::move(layer));
    }
    std::map<oci::Digest, std::set<std::string>> by_diff_id;
    for (ImageRow& image : images_) {
        const auto name = oci::Reference::parse_normalized(image.name);
        image.name = name.ok() ? name->familiar() : image.id.to_string();
        users_[image.id].insert(image.name);
        if (!image.manifest.empty()) {
            users_[TRY(oci::Digest::parse(image.manifest))].insert(image.name);
        }
        auto layer = layers_.end();
        if (!image.chain_id.empty()) {
            layer = layers_.find(TRY(oci::Digest::parse(image.chain_id)));
        }
        while (layer != layers_.end()) {
            users_[layer->first].insert(image.name);
            by_diff_id[layer->second.diff_id].insert(image.name);
            layer = layers_.find(layer->second.parent);
        }
    }
    for (const auto& [blob, diff_id] : diff_ids_) {
        users_[blob].insert(by_diff_id[diff_id].begin(), by_diff_id[diff_id].end());
    }
    result_.images = images_.size();
    return ok();
}

std::vector<std::string> Check::images_of(const oci::Digest& digest) const {
    const auto found = users_.find(digest);
    return found == users_.end()
               ? std::vector<std::string>()
               : std::vector<std::string>(found->second.begin(), found->second.end());
}

Result<void> Check::check_blobs(const std::stop_token& stop) {
    for (const BlobInfo& blob : TRY(store_.blobs().list())) {
        if (stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "the check was cancelled");
        }
        TRY(check_blob(blob));
    }
    return ok();
}

Result<void> Check::check_blob(const BlobInfo& blob) {
    auto file = store_.blobs().open_blob(blob.digest);
    if (!file.ok()) {
        // Removed meanwhile.
        return file.error().kind() == ErrorKind::NotFound ? ok() : std::move(file).error();
    }
    Problem problem{
        .kind = "blob", .subject = blob.digest.to_string(), .images = images_of(blob.digest)};
    FdSource source(std::move(*file));
    oci::Digester hash = TRY(oci::Digester::create(blob.digest.algorithm()));
    std::string buffer(1U << 20, '\0');
    std::uint64_t size = 0;
    while (true) {
        const auto count = source.read(buffer);
        if (!count.ok()) {
            problem.message = "it cannot be read: " + count.error().message();
            break;
        }
        if (*count == 0) {
            break;
        }
        hash.update(std::string_view(buffer).substr(0, *count));
        size += *count;
    }
    ++result_.blobs;
    result_.blob_bytes += size;
    if (problem.message.empty()) {
        const oci::Digest found = hash.finish();
        if (found == blob.digest) {
            return ok();
        }
        problem.message = "its " + std::to_string(size) + " bytes have digest " + found.to_string();
    }
    handle(std::move(problem), [&] { return mend_blob(blob.digest); });
    return ok();
}

// A damaged blob helps nobody and goes. A configuration is in the metadata too, and written again;
// a layer's blob is made again from the layer's files, where these give the same tar.
Result<std::string> Check::mend_blob(const oci::Digest& digest) {
    Lease lease = store_.leases().create();
    TRY(forget_blob(digest));
    for (const ImageRow& image : images_) {
        if (image.id == digest) {
            TRY(store_.blobs().put(lease, image.config));
            return std::string("written again from the metadata");
        }
    }
    if (TRY(make_layer_blob_again(lease, digest))) {
        return std::string("made again from the layer's files");
    }
    return std::string(
        users_.contains(digest) ? "forgotten: the next push makes a manifest"
                                : "removed: no image needs it");
}

Result<void> Check::forget_blob(const oci::Digest& digest) {
    mended_.insert(digest.to_string());
    TRY(store_.blobs().remove(digest));
    TRY(store_.layers().forget_blob(digest));
    Transaction transaction = TRY(store_.database().begin(Durability::Durable));
    {
        Statement update = TRY(transaction->prepare(
            "UPDATE images SET manifest = NULL, manifest_type = NULL WHERE manifest = ?1"));
        TRY(update.bind(1, digest.to_string()).run());
    }
    return transaction.commit();
}

// False when no layer has the blob.
Result<bool> Check::make_layer_blob_again(Lease& lease, const oci::Digest& digest) {
    bool made = false;
    const auto [first, last] = diff_ids_.equal_range(digest);
    for (auto known = first; known != last; ++known) {
        for (const auto& [chain_id, layer] : layers_) {
            if (layer.diff_id != known->second) {
                continue;
            }
            auto blob = store_.layers().ensure_blob(lease, chain_id);
            if (!blob.ok()) {
                return Error(
                    ErrorKind::DataLoss,
                    "the blob is removed, and " + blob.error().message() +
                        "; containers run, but to push or save the images remove and pull or load "
                        "them again");
            }
            made = true;
        }
    }
    return made;
}

Result<void> Check::check_layers(const std::stop_token& stop) {
    const VerifyDepth depth = options_.deep ? VerifyDepth::Deep : VerifyDepth::Shallow;
    for (const auto& [chain_id, layer] : layers_) {
        if (stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "the check was cancelled");
        }
        Lease lease = store_.leases().create();
        lease.add_layer(chain_id);
        Result<void> verified = store_.layers().verify(chain_id, depth);
        if (!verified.ok() && verified.error().kind() == ErrorKind::NotFound) {
            continue; // removed meanwhile
        }
        if (!verified.ok() && verified.error().kind() == ErrorKind::ResourceExhausted) {
            return verified; // no fault of the layer's
        }
        ++result_.layers;
        if (verified.ok()) {
            continue;
        }
        handle(
            {.kind = "layer",
             .subject = chain_id.to_string(),
             .message = verified.error().message(),
             .images = images_of(chain_id)},
            [&, &chain = chain_id]() -> Result<std::string> {
                TRY(store_.layers().restore(chain));
                return std::string("unpacked again from its blob");
            });
    }
    for (std::string& path : TRY(store_.layers().stray_directories())) {
        Problem problem{.kind = "leftover", .subject = path, .message = "nothing names it"};
        handle(std::move(problem), [&]() -> Result<std::string> {
            TRY(store_.layers().discard_stray(path));
            return std::string("removed");
        });
    }
    return ok();
}

// What an image names and is not there. Its layers' rows cannot be gone: the database holds them.
Result<void> Check::check_images() {
    for (const ImageRow& image : images_) {
        if (!store_.images().get(image.id).ok()) {
            continue; // removed meanwhile
        }
        if (!store_.blobs().contains(image.id)) {
            handle(
                {.kind = "image",
                 .subject = image.id.to_string(),
                 .message = "the blob of its configuration is gone",
                 .images = {image.name}},
                [&] { return mend_blob(image.id); });
        }
        if (oci::Digest::of(image.config) != image.id) {
            tell(
                {.kind = "image",
                 .subject = image.id.to_string(),
                 .message = "its configuration in the metadata has another digest",
                 .images = {image.name},
                 .remedy = "remove the image and pull it again"});
        }
        if (image.manifest.empty() || mended_.contains(image.manifest)) {
            continue;
        }
        const oci::Digest manifest = TRY(oci::Digest::parse(image.manifest));
        if (!store_.blobs().contains(manifest)) {
            handle(
                {.kind = "image",
                 .subject = image.id.to_string(),
                 .message = "the blob of its manifest " + manifest.to_string() + " is gone",
                 .images = {image.name}},
                [&] { return mend_blob(manifest); });
        }
    }
    return ok();
}

void Check::discard_leftover(const std::string& path, const std::string& message) {
    handle(
        {.kind = "leftover", .subject = path, .message = message, .images = {}},
        [&]() -> Result<std::string> {
            TRY(remove_tree_of(root_ + "/" + path));
            return std::string("removed");
        });
}

Result<void> Check::check_leftovers() {
    for (std::string_view algorithm : oci::blob_algorithms) {
        const std::string prefix(algorithm);
        for (const std::string& name : TRY(list_directory(root_ + "/blobs/" + prefix))) {
            if (!oci::Digest::parse(prefix + ":" + name).ok()) {
                discard_leftover("blobs/" + prefix + "/" + name, "it is no blob");
            }
        }
    }
    for (const std::string& name : TRY(list_directory(root_ + "/tmp"))) {
        if (!is_own(name)) {
            discard_leftover("tmp/" + name, "nothing of this engine has such a name");
        }
    }
    return ok();
}

} // namespace

Result<CheckReport> check_store(
    std::stop_token stop,
    Store& store,
    const std::string& root,
    const CheckOptions& options,
    const ProblemCallback& report) {
    return Check(store, root, options, report).run(stop);
}

} // namespace berth::store
