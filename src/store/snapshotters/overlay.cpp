// SPDX-License-Identifier: Apache-2.0
// Overlayfs mounts. Lower directories are given one by one (lowerdir+, Linux 6.5), each at most 255
// bytes long; where that does not fit, by descriptor (/proc/self/fd/<n>), which also lets 128
// layers fit into the one page of options that mount(2) takes.
#include "store/snapshotters/overlay.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "kernel/mount.h"
#include "kernel/path.h"
#include "store/disk_error.h"
#include "store/layer_mounts.h"
#include "store/layer_tar.h"
#include "store/overlay_form.h"
#include "store/snapshotters/mapped_root.h"
#include "store/tree_removal.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr std::size_t largest_label = 4096;

std::string upper_of(const WritableLayer& layer) {
    return layer.directory + "/upper";
}

std::string work_of(const WritableLayer& layer) {
    return layer.directory + "/work";
}

// Holds the mount's SELinux label, where it has one.
std::string label_of(const WritableLayer& layer) {
    return layer.directory + "/label";
}

// "" where there is none, or nobody who would know it: a kernel without SELinux takes no such
// option.
std::string mount_label_of(const WritableLayer& layer) {
    const bool is_labeled = exists(label_of(layer)) && exists("/sys/fs/selinux/enforce");
    return is_labeled ? read_file(label_of(layer), largest_label).value_or("") : std::string();
}

// What the mounts of an image have in common. Layers come from strangers: nothing that an attribute
// in them says about other places is followed (redirects, data elsewhere). Inode numbers are
// composed (xino), so that layers on file systems of their own look like one to programs that
// compare devices.
std::vector<kernel::MountParameter> fixed_parameters(WriteMode mode) {
    std::vector<kernel::MountParameter> parameters{
        {"index", "off"}, {"metacopy", "off"}, {"redirect_dir", "nofollow"}, {"xino", "on"}};
    if (mode == WriteMode::Volatile) {
        parameters.push_back({"volatile", ""});
    }
    return parameters;
}

// Directories opened for the time of a mount, so that they can be named shortly, and shown as
// somebody's where they are to be.
class OpenDirectories {
  public:
    OpenDirectories() = default;

    // `place` (optional): where mapped mounts are attached meanwhile.
    OpenDirectories(const kernel::OwnerMap* owners, std::string place)
        : owners_(owners)
        , place_(std::move(place)) {}

    Result<std::string> name(const std::string& path) {
        fds_.push_back(
            TRY(owners_ == nullptr ? open_file(path, O_PATH | O_DIRECTORY)
                                   : clone_mapped(path, *owners_)));
        if (owners_ != nullptr && !place_.empty()) {
            const std::string own = place_ + "/" + std::to_string(fds_.size());
            TRY(disk_result(make_directories(own, 0700)));
            TRY(kernel::attach_mount(fds_.back(), own));
            attached_.emplace_back(own);
        }
        return kernel::fd_path(fds_.back());
    }

    bool are_mapped() const { return owners_ != nullptr; }

  private:
    const kernel::OwnerMap* owners_ = nullptr;
    std::string place_;
    std::vector<UniqueFd> fds_;
    std::vector<kernel::MountGuard> attached_;
};

// The kernel does not ask whether a layer's root is opaque, so what such a layer hides is left out.
Result<std::vector<std::string>> lowers_of(const WritableLayer& layer) {
    std::vector<std::string> lowers;
    for (const std::string& lower : layer.layers) {
        lowers.push_back(lower);
        const UniqueFd root = TRY(open_file(lower, O_RDONLY | O_DIRECTORY));
        if (TRY(is_opaque(root))) {
            break;
        }
    }
    if (lowers.empty()) {
        lowers.push_back(layer.directory + "/empty"); // overlayfs wants at least one
    }
    return lowers;
}

Result<void> mount_by_parameters(
    const WritableLayer& layer, WriteMode mode, const std::string& mapped_place = "") {
    OpenDirectories opened(layer.owners.get(), mapped_place);
    std::vector<kernel::MountParameter> parameters;
    auto add = [&](std::string key, const std::string& path) -> Result<void> {
        const bool fits = path.size() <= mount_parameter_bytes && !opened.are_mapped();
        std::string name = fits ? path : TRY(opened.name(path));
        parameters.push_back({std::move(key), std::move(name)});
        return ok();
    };
    for (const std::string& lower : TRY(lowers_of(layer))) {
        TRY(add("lowerdir+", lower));
    }
    if (opened.are_mapped()) {
        // Both must be of one mount.
        const std::string mapped = TRY(opened.name(layer.directory));
        parameters.push_back({"upperdir", mapped + "/upper"});
        parameters.push_back({"workdir", mapped + "/work"});
    } else {
        TRY(add("upperdir", upper_of(layer)));
        TRY(add("workdir", work_of(layer)));
    }
    for (kernel::MountParameter& parameter : fixed_parameters(mode)) {
        parameters.push_back(std::move(parameter));
    }
    if (std::string label = mount_label_of(layer); !label.empty()) {
        parameters.push_back({"context", std::move(label)});
    }
    UniqueFd mount = TRY(kernel::make_mount("overlay", "overlay", parameters, 0));
    return kernel::attach_mount(mount, layer.root());
}

Result<void> mount_by_page(const WritableLayer& layer, WriteMode mode) {
    OpenDirectories opened(
        layer.owners.get(), layer.owners == nullptr ? "" : layer.directory + "/mapped");
    std::string options = "lowerdir=";
    for (const std::string& lower : TRY(lowers_of(layer))) {
        options += (options.ends_with('=') ? "" : ":") + TRY(opened.name(lower));
    }
    if (opened.are_mapped()) {
        const std::string mapped = TRY(opened.name(layer.directory)); // both must be of one mount
        options += ",upperdir=" + mapped + "/upper,workdir=" + mapped + "/work";
    } else {
        options += ",upperdir=" + TRY(opened.name(upper_of(layer)));
        options += ",workdir=" + TRY(opened.name(work_of(layer)));
    }
    for (const kernel::MountParameter& parameter : fixed_parameters(mode)) {
        options += "," + parameter.key + (parameter.value.empty() ? "" : "=" + parameter.value);
    }
    if (const std::string label = mount_label_of(layer); !label.empty()) {
        options += ",context=\"" + label + "\"";
    }
    if (options.size() >= static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
        return invalid_argument(
            std::to_string(layer.layers.size()) + " layers are too many for this kernel");
    }
    if (::mount("overlay", layer.root().c_str(), "overlay", 0, options.c_str()) != 0) {
        return errno_error("mount overlay");
    }
    return ok();
}

} // namespace

Result<void> OverlaySnapshotter::probe(const std::string& root) {
    TemporaryDirectory directory = TRY(TemporaryDirectory::create(root));
    WritableLayer layer{directory.path() + "/probe", {directory.path() + "/lower"}};
    for (const std::string& path : {layer.directory, layer.layers[0]}) {
        TRY(make_directories(path));
    }
    TRY(prepare(layer));
    // Volatile: unmounting a normal one writes out the whole file system below, which took 36 ms
    // of an engine's start on a busy disk.
    Result<std::string> mounted = mount(layer, WriteMode::Volatile);
    if (!mounted.ok()) {
        mounted = mount(layer, WriteMode::Normal); // before Linux 5.10
    }
    if (!mounted.ok()) {
        return mounted.error().error_number() == ENOSPC
                   ? std::move(mounted).error()
                   : not_implemented(
                         "overlayfs does not work on " + root + ": " + mounted.error().message());
    }
    return unmount(layer);
}

Result<void> OverlaySnapshotter::prepare(const WritableLayer& layer) {
    if (layer.size_limit != 0) {
        TRY(limits_.limit(layer.directory, layer.size_limit));
    }
    if (!layer.mount_label.empty()) {
        TRY(disk_result(replace_file(label_of(layer), layer.mount_label, 0600, Sync::No)));
    }
    for (const std::string& path : {upper_of(layer), work_of(layer), layer.root()}) {
        TRY(disk_result(make_directories(path, 0755)));
    }
    if (layer.layers.empty()) {
        return disk_result(make_directories(layer.directory + "/empty", 0755));
    }

    // The root directory that a container sees is the upper one: it takes after the image's.
    struct stat status {};

    if (stat(layer.layers.front().c_str(), &status) != 0) {
        return errno_error("stat " + layer.layers.front());
    }
    UniqueFd upper = TRY(open_file(upper_of(layer), O_RDONLY | O_DIRECTORY));
    timespec times[2] = {status.st_mtim, status.st_mtim};
    if (fchown(upper.get(), status.st_uid, status.st_gid) != 0 ||
        fchmod(upper.get(), status.st_mode & 07777) != 0 || futimens(upper.get(), times) != 0) {
        return errno_error("prepare " + upper_of(layer));
    }
    return ok();
}

Result<std::string> OverlaySnapshotter::mount(const WritableLayer& layer, WriteMode mode) {
    std::string root = layer.root();
    if (TRY(kernel::is_mount_point(root))) {
        TRY(check_owners(root, upper_of(layer), layer.owners.get()));
        return root;
    }
    // Without its working directory the kernel mounts for reading alone: nothing could be deleted
    // any more where the disk is full.
    const auto room = DirectoryLimits::make_room(layer.directory);
    if (mode == WriteMode::Volatile) {
        // The kernel refuses a volatile layer a second time, since it cannot know whether the
        // machine went down in between. Whoever asks for volatile takes that on.
        TRY(remove_tree_of(work_of(layer)));
        TRY(disk_result(make_directories(work_of(layer), 0755)));
    }
    if (legacy_) {
        TRY(mount_by_page(layer, mode));
        return root;
    }
    Result<void> mounted = mount_by_parameters(layer, mode);
    if (!mounted.ok() && layer.owners != nullptr && mounted.error().error_number() == EINVAL) {
        // Before Linux 6.15 overlayfs knows attached mounts only.
        mounted = mount_by_parameters(layer, mode, layer.directory + "/mapped");
    }
    if (mounted.ok()) {
        return root;
    }
    bool unknown = mounted.error().error_number() == EINVAL;
    if (!unknown || !mount_by_page(layer, mode).ok()) {
        return std::move(mounted).error();
    }
    legacy_ = true;
    log::debug("overlayfs takes its lower directories in one page only");
    return root;
}

bool OverlaySnapshotter::is_mounted(const WritableLayer& layer) {
    const Result<bool> answer = kernel::is_mount_point(layer.root());
    return answer.ok() && *answer;
}

Result<void> OverlaySnapshotter::unmount(const WritableLayer& layer) {
    return kernel::unmount_lazily(layer.root());
}

Result<Difference> OverlaySnapshotter::difference(const WritableLayer& layer) {
    return overlay_difference(upper_of(layer), layer.layers);
}

Result<std::uint64_t> OverlaySnapshotter::usage(const WritableLayer& layer) {
    UniqueFd upper = TRY(open_file(upper_of(layer), O_RDONLY | O_DIRECTORY));
    return directory_usage(upper);
}

Result<bool>
OverlaySnapshotter::convert_to_layer(const WritableLayer& layer, const std::string& target) {
    if (rename(upper_of(layer).c_str(), target.c_str()) != 0) {
        return disk_error(errno_error("rename " + upper_of(layer)));
    }
    return true;
}

std::vector<std::pair<std::string, std::string>>
OverlaySnapshotter::describe(const WritableLayer& layer) const {
    return {
        {"LowerDir", join(layer.layers, ":")},
        {"MergedDir", layer.root()},
        {"UpperDir", upper_of(layer)},
        {"WorkDir", work_of(layer)}};
}

} // namespace berth::store
