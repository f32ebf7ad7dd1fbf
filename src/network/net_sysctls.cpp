// SPDX-License-Identifier: Apache-2.0
// Looked up in an instance of procfs that is mounted nowhere. The kernel keeps the directories of
// all namespaces that were looked up in an instance in one chain, through which it goes one by one:
// after some uses there is another instance, with a short chain. fsopen(2), openat(2).
#include "network/net_sysctls.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/synchronized.h"
#include "base/verify.h"
#include "kernel/mount.h"
#include "kernel/path.h"

#include <fcntl.h>

namespace berth::network {
namespace {

constexpr int most_uses = 64;

struct SharedRoot {
    std::shared_ptr<const UniqueFd> directory;
    int uses = 0;
};

Result<UniqueFd> open_directory(FdRef root, const std::string& path) {
    UniqueFd directory(::openat(root.get(), path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
        return errno_error("open /proc/sys/" + path);
    }
    return directory;
}

Result<UniqueFd> new_root() {
    auto procfs = kernel::make_mount(
        "proc", "proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (procfs.ok()) {
        return open_directory(*procfs, "sys");
    }
    // Within a container whose procfs has parts covered the kernel allows no other.
    log::debug("no procfs of our own", {{"error", procfs.error().message()}});
    return open_file("/proc/sys", O_PATH | O_DIRECTORY);
}

Result<std::shared_ptr<const UniqueFd>> take_root() {
    static Synchronized<SharedRoot> shared;
    {
        auto root = shared.lock();
        if (root->directory && ++root->uses < most_uses) {
            return root->directory;
        }
    }
    auto directory = std::make_shared<const UniqueFd>(TRY(new_root()));
    *shared.lock() = {directory, 0};
    return directory;
}

} // namespace

Result<void> NetSysctls::write(std::string_view name, std::string_view value) {
    return write_path(replace_all(name, ".", "/"), value);
}

Result<void> NetSysctls::write_path(const std::string& path, std::string_view value) {
    const std::size_t family = path.find('/', std::string_view("net/").size());
    VERIFY(path.starts_with("net/") && family != std::string::npos);
    if (!root_) {
        root_ = TRY(take_root());
    }
    UniqueFd& directory = directories_[path.substr(0, family)];
    if (!directory) {
        directory = TRY(open_directory(*root_, path.substr(0, family)));
    }
    return write_existing(kernel::fd_path(directory) + path.substr(family), value);
}

} // namespace berth::network
