// SPDX-License-Identifier: Apache-2.0
// Mounting takes a tenth of a millisecond from a file, a few through a loop device, and happens
// under one lock: two containers that want the same layer get the same mount.
#include "store/layer_mounts.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/loop_device.h"
#include "kernel/mount.h"
#include "store/layer_file.h"
#include "store/snapshotters/overlay.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>

namespace berth::store {

namespace {

Result<void> try_method(const std::string& image, const std::string& base, ErofsMethod method) {
    const std::string place = base + "/mount";
    TRY(mount_erofs(image, place, method));
    kernel::MountGuard mounted(place);
    // As an overlay's lower layer, where depth counts: with the data root on an overlay of its own
    // there may be one too many.
    WritableLayer layer{base + "/probe", {place}};
    OverlaySnapshotter snapshotter;
    TRY(snapshotter.prepare(layer));
    TRY(snapshotter.mount(layer, WriteMode::Volatile));
    return snapshotter.unmount(layer);
}

} // namespace

std::string_view to_string(ErofsMethod method) {
    switch (method) {
    case ErofsMethod::File:
        return "file";
    case ErofsMethod::Loop:
        return "loop";
    case ErofsMethod::None:
        return "none";
    }
    return "none";
}

Result<ErofsMethod> probe_erofs(const std::string& root, std::string& why) {
    TemporaryDirectory directory = TRY(TemporaryDirectory::create(root + "/tmp"));
    const std::string image = directory.path() + "/layer.erofs";
    StringSource empty(std::string(1024, '\0'));
    TRY(LayerFile::write(image, empty));
    for (const ErofsMethod method : {ErofsMethod::File, ErofsMethod::Loop}) {
        const std::string base = directory.path() + "/" + std::string(to_string(method));
        TRY(make_directories(base + "/mount"));
        TRY(make_directories(base + "/probe"));
        Result<void> works = try_method(image, base, method);
        if (works.ok()) {
            return method;
        }
        if (works.error().error_number() == ENOSPC) {
            return std::move(works).error();
        }
        why += (why.empty() ? "" : "; ") + works.error().message();
    }
    return ErofsMethod::None;
}

Result<void> mount_erofs(const std::string& image, const std::string& place, ErofsMethod method) {
    constexpr std::uint64_t attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    UniqueFd file = TRY(open_file(image, O_RDONLY | O_NOFOLLOW));
    kernel::LoopDevice device;
    std::string source = image.size() <= mount_parameter_bytes
                             ? image
                             : "/proc/self/fd/" + std::to_string(file.get());
    if (method == ErofsMethod::None) {
        return not_implemented("this kernel does not mount EROFS images");
    }
    if (method == ErofsMethod::Loop) {
        device = TRY(kernel::attach_loop_device(file));
        source = device.path;
    }
    UniqueFd mount = TRY(kernel::make_mount("erofs", source, {{"ro", ""}}, attributes));
    return kernel::attach_mount(mount, place);
}

struct LayerMounts::State {
    struct Mounted {
        std::size_t uses = 0;
        std::list<std::string>::iterator idle; // into idle, where nobody uses it
    };

    std::function<ErofsMethod()> method;
    std::size_t idle_limit = 0;
    std::mutex mutex; // held while mounting
    std::map<std::string, Mounted> mounts;
    std::list<std::string> idle; // the longest first
    bool closed = false;

    Result<void> acquire(const std::string& layer) {
        std::lock_guard lock(mutex);
        const std::string place = mount_point_of(layer);
        const auto found = mounts.find(layer);
        if (found != mounts.end() && found->second.uses == 0) {
            idle.erase(found->second.idle);
            mounts.erase(found); // until it is known to be usable
        }
        // Asked each time: nobody may start on an empty directory because somebody else has
        // unmounted something.
        if (!TRY(kernel::is_mount_point(place))) {
            TRY_CONTEXT(mount_erofs(image_of(layer), place, method()), "mount layer " + layer);
        }
        ++mounts[layer].uses;
        return ok();
    }

    void release(const std::string& layer) {
        std::lock_guard lock(mutex);
        Mounted& mounted = mounts[layer];
        if (--mounted.uses > 0 || closed) {
            return;
        }
        mounted.idle = idle.insert(idle.end(), layer);
        if (idle.size() > idle_limit) {
            drop(idle.front());
        }
    }

    // REQUIRES: the lock; nobody uses it.
    void drop(const std::string& layer) {
        const std::string place = mount_point_of(layer);
        const auto found = mounts.find(layer);
        idle.erase(found->second.idle); // `layer` may lie in it
        mounts.erase(found);
        if (Result<void> done = kernel::unmount_lazily(place); !done.ok()) {
            log::warn("a layer stays mounted, ignoring", {{"error", done.error().message()}});
        }
    }
};

namespace {

class Use {
  public:
    explicit Use(std::function<void()> release)
        : release_(std::move(release)) {}

    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    ~Use() { release_(); }

  private:
    std::function<void()> release_;
};

} // namespace

LayerMounts::LayerMounts(std::function<ErofsMethod()> method, std::size_t idle)
    : state_(std::make_shared<State>()) {
    state_->method = std::move(method);
    state_->idle_limit = idle;
}

LayerMounts::~LayerMounts() {
    std::lock_guard lock(state_->mutex);
    state_->closed = true;
    while (!state_->idle.empty()) {
        state_->drop(state_->idle.front());
    }
}

Result<LayerHold> LayerMounts::hold(const std::vector<std::string>& layers) {
    LayerHold hold;
    for (const std::string& layer : layers) {
        hold.directories_.push_back(content_of(layer));
        if (hold.directories_.back() != mount_point_of(layer)) {
            continue;
        }
        TRY(state_->acquire(layer));
        hold.uses_.push_back(
            std::make_shared<Use>([state = state_, layer] { state->release(layer); }));
    }
    return hold;
}

void LayerMounts::drop_unused(const std::string& layer) {
    std::lock_guard lock(state_->mutex);
    if (!state_->mounts.contains(layer)) {
        [[maybe_unused]] Result<void> done = kernel::unmount_lazily(mount_point_of(layer));
    }
}

Result<void> LayerMounts::forget(const std::string& layer) {
    std::lock_guard lock(state_->mutex);
    const auto found = state_->mounts.find(layer);
    if (found != state_->mounts.end() && found->second.uses == 0) {
        state_->idle.erase(found->second.idle);
        state_->mounts.erase(found);
    }
    return kernel::unmount_lazily(mount_point_of(layer));
}

std::string LayerMounts::content_of(const std::string& layer) {
    const std::string tree = tree_of(layer);
    return exists(tree) ? tree : mount_point_of(layer);
}

} // namespace berth::store
