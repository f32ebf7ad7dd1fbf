// SPDX-License-Identifier: Apache-2.0
// /dev of a container. Nodes are made in directories that were opened below the root
// (CVE-2026-41579: an image whose /dev is a link).
#include "base/strings.h"
#include "kernel/mount.h"
#include "kernel/path.h"
#include "runtime/rootfs.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

struct DefaultDevice {
    std::string_view path;
    std::int64_t major;
    std::int64_t minor;
};

// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#default-devices
constexpr auto default_devices = std::to_array<DefaultDevice>(
    {{"/dev/null", 1, 3},
     {"/dev/zero", 1, 5},
     {"/dev/full", 1, 7},
     {"/dev/random", 1, 8},
     {"/dev/urandom", 1, 9},
     {"/dev/tty", 5, 0}});

constexpr std::uint32_t default_mode = 0666;

struct Link {
    const char* target;
    const char* name;
};

constexpr auto links = std::to_array<Link>(
    {{"/proc/self/fd", "fd"},
     {"/proc/self/fd/0", "stdin"},
     {"/proc/self/fd/1", "stdout"},
     {"/proc/self/fd/2", "stderr"},
     {"/proc/kcore", "core"},
     {"pts/ptmx", "ptmx"}});

Result<mode_t> type_of(const oci::Device& device) {
    if (device.type == "c" || device.type == "u") {
        return S_IFCHR;
    }
    if (device.type == "b") {
        return S_IFBLK;
    }
    if (device.type == "p") {
        return S_IFIFO;
    }
    return invalid_argument("device " + device.path + " of unknown type \"" + device.type + "\"");
}

dev_t number_of(const oci::Device& device) {
    return device.type == "p"
               ? 0
               : makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
}

Result<void> make_node(FdRef parent, const oci::Device& device) {
    std::string path = clean_path(device.path);
    std::string name = path.substr(path.rfind('/') + 1);
    mode_t type = TRY(type_of(device));
    const dev_t number = number_of(device);
    mode_t mode = device.file_mode.value_or(default_mode) & 07777U;
    if (::mknodat(parent.get(), name.c_str(), type | mode, number) < 0) {
        struct stat status {};

        // A node of the image that is the same device will do; anything else in its place will
        // not.
        bool same = errno == EEXIST &&
                    ::fstatat(parent.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                    (status.st_mode & S_IFMT) == type &&
                    (type == S_IFIFO || status.st_rdev == number);
        if (!same) {
            return errno_error("make device " + path);
        }
    }
    if ((device.uid.value_or(0) != 0 || device.gid.value_or(0) != 0) &&
        ::fchownat(
            parent.get(),
            name.c_str(),
            device.uid.value_or(0),
            device.gid.value_or(0),
            AT_SYMLINK_NOFOLLOW) < 0) {
        return errno_error("give device " + path + " its owner");
    }
    return ok();
}

} // namespace

namespace {

// In a user namespace mknod(2) is forbidden: the host's node is bound, if it is that device.
Result<UniqueFd> host_device(const oci::Device& device) {
    UniqueFd mount = TRY(kernel::clone_mount(device.path, kernel::Recursive::No));

    struct stat status {};

    if (::fstat(mount.get(), &status) < 0) {
        return errno_error("stat " + device.path);
    }
    if ((status.st_mode & S_IFMT) != TRY(type_of(device)) || status.st_rdev != number_of(device)) {
        return Error(
            ErrorKind::Unavailable,
            "in a user namespace a device is bound from the host, but its " + device.path +
                " is another device");
    }
    TRY(kernel::set_mount_attributes(mount, {.propagation = MS_PRIVATE}, kernel::Recursive::No));
    return mount;
}

// mknod(2) asks for rights in the first user namespace, which a nested runtime does not have.
bool in_first_user_namespace() {
    constexpr ino_t first = 0xeffffffd; // PROC_USER_INIT_INO

    struct stat status {};

    return ::stat("/proc/self/ns/user", &status) < 0 || status.st_ino == first;
}

Result<void> check_device(const oci::Device& device, const std::string& member) {
    if (!device.path.starts_with('/') || clean_path(device.path) == "/") {
        return invalid_argument(member + ".path: \"" + device.path + "\" is not a path below /");
    }
    TRY_CONTEXT(type_of(device), member + ".type");
    constexpr std::int64_t max_major = 4095; // the kernel's 12 and 20 bits
    constexpr std::int64_t max_minor = 1048575;
    if (device.major < 0 || device.major > max_major || device.minor < 0 ||
        device.minor > max_minor) {
        return invalid_argument(member + ": no such major and minor number");
    }
    return ok();
}

} // namespace

Result<std::vector<PreparedDevice>>
prepare_devices(const oci::RuntimeConfig& config, bool in_user_namespace) {
    std::vector<PreparedDevice> prepared;
    for (const DefaultDevice& device : default_devices) {
        bool replaced = false;
        for (const oci::Device& own : config.linux_.devices) {
            replaced = replaced || clean_path(own.path) == device.path;
        }
        if (!replaced) {
            prepared.push_back(
                {{.type = "c",
                  .path = std::string(device.path),
                  .major = device.major,
                  .minor = device.minor},
                 UniqueFd()});
        }
    }
    for (std::size_t i = 0; i < config.linux_.devices.size(); ++i) {
        const oci::Device& own = config.linux_.devices[i];
        TRY(check_device(own, "linux.devices[" + std::to_string(i) + "]"));
        prepared.push_back({own, UniqueFd()});
    }
    if (in_user_namespace || !in_first_user_namespace()) {
        for (PreparedDevice& entry : prepared) {
            if (entry.device.type != "p") { // anybody may make a pipe
                entry.host = TRY_CONTEXT(host_device(entry.device), "device " + entry.device.path);
            }
        }
    }
    return prepared;
}

Result<void> make_devices(const UniqueFd& root, const std::vector<PreparedDevice>& devices) {
    mode_t before = ::umask(0);
    std::string folder;
    UniqueFd parent;
    for (const PreparedDevice& entry : devices) {
        if (!entry.host) {
            // Most are in /dev, which is walked to once.
            const std::string path = clean_path(entry.device.path);
            const std::string above = path.substr(0, path.rfind('/') + 1);
            if (above != folder) {
                parent = TRY(kernel::make_directories_in_root(root, above));
                folder = above;
            }
            TRY(make_node(parent, entry.device));
            continue;
        }
        UniqueFd target = TRY(open_file_target(root, entry.device.path));
        TRY_CONTEXT(kernel::attach_mount(entry.host, target), "device " + entry.device.path);
    }
    ::umask(before);
    UniqueFd dev = TRY(kernel::make_directories_in_root(root, "/dev"));
    for (const Link& link : links) {
        if (::symlinkat(link.target, dev.get(), link.name) < 0 && errno != EEXIST) {
            return errno_error("link /dev/" + std::string(link.name));
        }
    }
    return ok();
}

} // namespace berth::runtime
