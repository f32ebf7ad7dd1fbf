// SPDX-License-Identifier: Apache-2.0
// The two forms of a layer: an image (layer.erofs, mounted where needed) and a directory (diff).
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "codec/sha256.h"
#include "kernel/path.h"
#include "store/disk_error.h"
#include "store/frame_recorder.h"
#include "store/layer_extractor.h"
#include "store/layer_file.h"
#include "store/layer_store.h"
#include "store/layer_store_parts.h"
#include "store/overlay_form.h"
#include "store/read_ahead.h"
#include "store/tree_copy.h"
#include "store/tree_removal.h"

#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {

namespace {

Result<void> make_tree(const std::string& path) {
    TRY(disk_result(make_directories(path, 0755)));
    if (chmod(path.c_str(), 0755) != 0) { // whatever the umask
        return errno_error("chmod " + path);
    }
    return ok();
}

// Calls found(path, model) with the directory that shows there in the layers below.
template <class Function>
Result<void> for_each_model(
    const std::set<std::string>& paths, const std::vector<std::string>& layers, Function&& found) {
    MergedDirectory root = TRY(MergedDirectory::open(layers));
    for (const std::string& path : paths) {
        MergedDirectory below = TRY(root.child("."));
        for (std::string_view part : split(path, '/')) {
            below = TRY(below.child(std::string(part)));
        }
        if (const UniqueFd* model = below.top(); model != nullptr) {
            TRY(found(path, *model));
        }
    }
    return ok();
}

Result<void> adopt_in_tree(
    const std::string& path,
    const std::set<std::string>& implied,
    const std::vector<std::string>& parents) {
    UniqueFd tree = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
    return for_each_model(
        implied, parents, [&](const std::string& name, FdRef model) -> Result<void> {
            Result<UniqueFd> place = kernel::open_in_root(
                tree, name, O_RDONLY | O_DIRECTORY, 0, kernel::FollowLinks::Never);
            // Else a later entry took its place.
            return place.ok() ? copy_directory_metadata(model, *place) : ok();
        });
}

Result<void> adopt_in_image(
    const std::string& path,
    const std::set<std::string>& implied,
    const std::vector<std::string>& parents) {
    std::map<std::string, erofs::Metadata> models;
    const auto note = [&](const std::string& name, FdRef model) -> Result<void> {
        models[name] = TRY(directory_metadata(model));
        return ok();
    };
    TRY(for_each_model(implied, parents, note));
    LayerFile file = TRY(LayerFile::open(path));
    return models.empty() ? ok() : file.adopt(models);
}

} // namespace

Result<LayerForm> parse_layer_form(std::string_view name) {
    if (name == "auto") {
        return LayerForm::Automatic;
    }
    if (name == "erofs") {
        return LayerForm::Erofs;
    }
    if (name == "directory") {
        return LayerForm::Directory;
    }
    return invalid_argument(
        "layer form \"" + std::string(name) + "\" is none of auto, erofs and directory");
}

ErofsMethod LayerStore::Parts::erofs_method() {
    std::lock_guard lock(probing);
    if (!probed_method) {
        no_method.clear();
        Result<ErofsMethod> method = probe_erofs(root, no_method);
        if (!method.ok()) { // a full disk: asked again once there may be room
            no_method = method.error().message();
            return ErofsMethod::None;
        }
        probed_method = *method;
        log::debug(
            "asked the kernel for EROFS", {{"method", to_string(*method)}, {"reason", no_method}});
    }
    return *probed_method;
}

bool LayerStore::Parts::makes_images() {
    switch (form) {
    case LayerForm::Directory:
        return false;
    case LayerForm::Erofs:
        return true;
    case LayerForm::Automatic:
        break;
    }
    // Copies are made where overlayfs does not work, by reading every file: a mount gains nothing.
    return snapshotter->name() == "overlay2" && erofs_method() != ErofsMethod::None;
}

std::string LayerStore::form_description() const {
    return parts_->makes_images() ? "erofs (" + std::string(to_string(parts_->erofs_method())) + ")"
                                  : "directory";
}

Result<std::vector<std::string>>
LayerStore::Parts::layer_directories(const oci::Digest& chain_id) const {
    std::vector<std::string> directories;
    std::vector<LayerInfo> layers = TRY(chain(chain_id));
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
        directories.push_back(layer_directory(layer->chain_id));
    }
    return directories;
}

Result<LayerHold> LayerStore::Parts::hold(const oci::Digest& chain_id) {
    std::vector<std::string> directories;
    std::vector<LayerInfo> layers = TRY(chain(chain_id));
    for (const LayerInfo& layer : layers) { // from the base up, as unpacking needs it
        std::string directory = layer_directory(layer.chain_id);
        if (!exists(LayerMounts::tree_of(directory)) && erofs_method() == ErofsMethod::None) {
            TRY(unpack_image(layer));
        }
        directories.insert(directories.begin(), std::move(directory));
    }
    return layer_mounts->hold(directories);
}

// The data root comes from a machine whose kernel could more. The image stays, for its tar.
Result<void> LayerStore::Parts::unpack_image(const LayerInfo& layer) {
    std::lock_guard lock(publishing);
    const std::string tree = LayerMounts::tree_of(layer_directory(layer.chain_id));
    if (exists(tree)) {
        return ok();
    }
    LayerFile file = TRY(LayerFile::open(image_of(layer.chain_id)));
    StagedLayer staged = TRY(stage_directory());
    FileSource tar = file.tar();
    TRY(extract(staged, tar));
    TRY(adopt_implied_directories(staged, layer.parent));
    if (rename(LayerMounts::tree_of(staged.directory_).c_str(), tree.c_str()) != 0) {
        return disk_error(errno_error("rename " + staged.directory_));
    }
    return ok();
}

Result<StagedLayer> LayerStore::Parts::stage_directory() const {
    StagedLayer layer;
    std::string directory = root + "/tmp/layer-" + random_hex(16);
    TRY(disk_result(make_directories(directory, 0700)));
    layer.directory_ = directory;
    return layer;
}

Result<void> LayerStore::Parts::extract(StagedLayer& layer, ByteSource& tar, KeepTar keep) {
    const std::string tree = LayerMounts::tree_of(layer.directory_);
    TRY(make_tree(tree));
    LayerExtractor extractor = TRY(LayerExtractor::create(tree));
    if (keep == KeepTar::Yes) {
        const UniqueFd top = TRY(open_file(tree, O_RDONLY | O_DIRECTORY));
        auto recorder = TRY(FrameRecorder::create(tar, layer.directory_, top));
        TRY(extractor.extract(*recorder));
        TRY(recorder->finish());
        // It is all that there is of the tar. While it goes to the disk the next layer may come.
        TRY(start_sync(layer));
    } else {
        TRY(extractor.extract(tar));
    }
    layer.size_ = extractor.size();
    layer.implied_directories_ = extractor.take_implied_directories();
    return ok();
}

Result<void> LayerStore::Parts::start_sync(const StagedLayer& layer) {
    auto sync = TRY(BackgroundSync::start(layer.directory_));
    std::vector<std::unique_ptr<BackgroundSync>> unwanted; // joined once the lock is given up
    auto all = syncs.lock();
    for (auto entry = all->begin(); entry != all->end();) {
        const bool gone = !exists(entry->first);
        if (gone) {
            unwanted.push_back(std::move(entry->second));
        }
        entry = gone ? all->erase(entry) : std::next(entry);
    }
    all->emplace(layer.directory_, std::move(sync));
    return ok();
}

Result<void> LayerStore::Parts::finish_sync(const StagedLayer& layer) {
    std::unique_ptr<BackgroundSync> sync;
    {
        auto all = syncs.lock();
        if (const auto found = all->find(layer.directory_); found != all->end()) {
            sync = std::move(found->second);
            all->erase(found);
        }
    }
    return sync ? sync->finish() : ok();
}

// Hashing goes to the thread that has less to do: reading files in costs more than decompressing,
// indexing them less.
Result<StagedLayer> LayerStore::Parts::unpack(ByteSource& source, KeepTar keep) {
    StagedLayer layer = TRY(stage_directory());
    if (!makes_images()) {
        HashingSource hashed(source);
        {
            ReadAheadSource ahead(hashed);
            TRY(extract(layer, ahead, keep));
        }
        layer.diff_id_ = TRY(oci::Digest::from_sha256_hex(hashed.finish_hex()));
        return layer;
    }
    const std::string image = LayerMounts::image_of(layer.directory_);
    TRY(disk_result(make_directories(LayerMounts::mount_point_of(layer.directory_), 0755)));
    ReadAheadSource ahead(source);
    HashingSource hashed(ahead);
    const bool keep_tar = keep == KeepTar::Yes;
    LayerFile file =
        TRY(LayerFile::write(image, hashed, {}, keep_tar ? WriteBack::Early : WriteBack::Later));
    layer.diff_id_ = TRY(oci::Digest::from_sha256_hex(hashed.finish_hex()));
    layer.size_ = file.size();
    layer.implied_directories_ = file.take_implied_directories();
    if (keep_tar) { // it is all that there is of the tar
        TRY(file.sync());
    }
    if (!file.fits()) {
        FileSource tar = file.tar();
        TRY(extract(layer, tar));
        if (!keep_tar && unlink(image.c_str()) != 0) {
            return errno_error("remove " + image);
        }
    }
    return layer;
}

// A directory that no entry named would hide owner and mode of the one below (an overlay shows the
// upper one's); so it takes after that.
Result<void>
LayerStore::Parts::adopt_implied_directories(const StagedLayer& layer, const oci::Digest& parent) {
    if (layer.implied_directories_.empty() || parent.empty()) {
        return ok();
    }
    LayerHold parents = TRY(hold(parent));
    return adopt_implied_directories(layer, parents.directories());
}

Result<void> LayerStore::Parts::adopt_implied_directories(
    const StagedLayer& layer, const std::vector<std::string>& models) {
    const std::string tree = LayerMounts::tree_of(layer.directory_);
    return exists(tree)
               ? adopt_in_tree(tree, layer.implied_directories_, models)
               : adopt_in_image(
                     LayerMounts::image_of(layer.directory_), layer.implied_directories_, models);
}

} // namespace berth::store
