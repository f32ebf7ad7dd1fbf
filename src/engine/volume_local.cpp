// SPDX-License-Identifier: Apache-2.0
// Directories of local volumes, and what is mounted on them.
#include "engine/volume_local.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/worker_pool.h"
#include "kernel/loop_device.h"
#include "kernel/mount.h"
#include "kernel/process.h"
#include "kernel/project_quota.h"
#include "runtime/container_mounts.h"
#include "runtime/mount_options.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <memory>

#include <fcntl.h>
#include <netdb.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::engine {
namespace {

// Above what others count up from 1.
constexpr std::uint32_t first_project = 0x0BE0'0000;

constexpr int most_mounts = 16;
constexpr std::chrono::seconds patience_with_servers{3};
// mke2fs makes nothing useful below.
constexpr std::uint64_t smallest_image = 1U << 20;

Result<std::string> resolve(const std::string& host) {
    addrinfo* found = nullptr;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    const int failed = getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (failed != 0) {
        return Error(
            ErrorKind::Unavailable, "lookup " + host + ": " + std::string(gai_strerror(failed)));
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
    // As moby: a name may have both kinds of addresses where the server listens on one.
    const addrinfo* chosen = found;
    while (chosen != nullptr && chosen->ai_family != AF_INET) {
        chosen = chosen->ai_next;
    }
    chosen = chosen == nullptr ? found : chosen;
    std::array<char, NI_MAXHOST> text{};
    const int named = getnameinfo(
        chosen->ai_addr, chosen->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
    if (named != 0) {
        return Error(
            ErrorKind::Unavailable, "lookup " + host + ": " + std::string(gai_strerror(named)));
    }
    return std::string(text.data());
}

// Of cifs; moby knows the first alone. The options as such are shown by an inspect, as moby's.
std::string without_secret(std::string_view option) {
    constexpr auto secrets = std::to_array<std::string_view>({"password", "pass", "password2"});
    const auto pair = cut(option, "=");
    if (!pair || std::ranges::find(secrets, to_lower(pair->before)) == secrets.end()) {
        return std::string(option);
    }
    return std::string(pair->before) + "=********";
}

// What the kernel said about a failed mount beside its number: " (nfs: Unknown parameter 'x')".
std::string kernels_words(const Error& error) {
    const std::string& text = error.message();
    const auto start = text.find(" (");
    const auto end = text.rfind(')');
    return start == std::string::npos || end == std::string::npos || end < start
               ? std::string()
               : text.substr(start, end - start + 1);
}

// As moby's sys/mount tells a failed mount(2).
Error mount_error(const LocalOptions& options, const std::string& target, const Error& error) {
    static constexpr std::pair<std::string_view, unsigned long> flags[] = {
        {"ro", MS_RDONLY},
        {"nosuid", MS_NOSUID},
        {"nodev", MS_NODEV},
        {"noexec", MS_NOEXEC},
        {"bind", MS_BIND},
        {"rbind", MS_BIND | MS_REC}};
    unsigned long set = 0;
    std::vector<std::string> data;
    for (std::string_view option : split(options.options, ',')) {
        const auto found = std::ranges::find_if(
            flags, [option](const auto& flag) { return flag.first == option; });
        if (found != std::end(flags)) {
            set |= found->second;
        } else if (!option.empty()) {
            data.push_back(without_secret(option));
        }
    }
    std::string text = "failed to mount local volume: mount " + options.device + ":" + target;
    if (set != 0) {
        std::array<char, 2 * sizeof(set)> digits{};
        const auto end = std::to_chars(digits.begin(), digits.end(), set, 16);
        text += ", flags: 0x" + std::string(digits.begin(), end.ptr);
    }
    if (!data.empty()) {
        text += ", data: " + join(data, ",");
    }
    std::string reason = error.error_number() != 0
                             ? std::string(std::strerror(error.error_number()))
                             : error.message();
    reason.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(reason.front())));
    return Error(ErrorKind::Internal, text + ": " + reason + kernels_words(error));
}

Result<UniqueFd> detached(
    const LocalOptions& wanted,
    const MountArguments& arguments,
    const kernel::CreateFileSystem& create) {
    std::vector<std::string> words;
    for (std::string_view option : split(arguments.options, ',')) {
        words.emplace_back(option);
    }
    runtime::MountOptions options = TRY(runtime::parse_mount_options(words));
    if (options.bind || wanted.type == "bind") {
        UniqueFd mount = TRY(kernel::clone_mount(arguments.device, options.recursive_bind));
        TRY(runtime::apply_options(mount, options));
        return mount;
    }
    std::vector<kernel::MountParameter> parameters = std::move(options.flags);
    parameters.insert(
        parameters.end(),
        std::make_move_iterator(options.parameters.begin()),
        std::make_move_iterator(options.parameters.end()));
    if ((options.attributes.set & MOUNT_ATTR_RDONLY) != 0 && wanted.type != "tmpfs") {
        parameters.push_back({"ro", ""}); // a disk must not be written
    }
    UniqueFd mount = TRY(kernel::make_mount(
        wanted.type, arguments.device, parameters, options.attributes.set, create));
    return mount;
}

// The loop device that has the file. As long as it is open it does not go to another file.
std::optional<kernel::LoopDevice> device_over(const std::string& path) {
    const auto names = list_directory("/sys/block");
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        const auto has_file = [&] {
            const std::string file = "/sys/block/" + name + "/loop/backing_file";
            return trim(read_file(file, 4097).value_or("")) == path;
        };
        if (!name.starts_with("loop") || !has_file()) {
            continue;
        }
        auto fd = open_file("/dev/" + name, O_RDONLY);
        if (fd.ok() && has_file()) {
            return kernel::LoopDevice{.path = "/dev/" + name, .fd = std::move(*fd)};
        }
    }
    return std::nullopt;
}

Result<void> run_mkfs(const std::string& path) {
    auto mkfs = kernel::spawn(
        {.arguments = {"mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1", path},
         .environment = std::vector<std::string>{"PATH=/usr/sbin:/sbin:/usr/bin:/bin"}});
    if (!mkfs.ok()) {
        return std::move(mkfs)
            .error()
            .as(ErrorKind::Unavailable)
            .with_context("a volume's size without project quotas of the disk needs mkfs.ext4");
    }
    const int code = TRY(mkfs->wait()).shell_code();
    return code == 0 ? ok()
                     : Result<void>(Error(
                           ErrorKind::Internal, "mkfs.ext4 ended with " + std::to_string(code)));
}

} // namespace

// More than once where somebody mounted over it: what is below must not be taken for the volume.
Result<void> unmount_wholly(const std::string& path) {
    for (int attempt = 0; attempt < most_mounts; ++attempt) {
        if (!TRY(kernel::detach_mount(path))) {
            return ok();
        }
    }
    return conflict(path + " stays mounted");
}

Result<void> LocalVolume::make(std::uint32_t project) const {
    TRY(make_directories(directory_, 0755));
    if (options_.size != 0) {
        // On the directory around the content, which inherits it: the content's own is what
        // containers make it to be.
        UniqueFd place = TRY(open_file(directory_, O_RDONLY | O_DIRECTORY));
        auto limited = kernel::limit_directory(place, project, options_.size);
        if (!limited.ok() && !kernel::lacks_project_quota(limited.error())) {
            return limited;
        }
        place.reset();
        if (!limited.ok()) {
            TRY(make_directories(data(), 0755));
            TRY(make_image());
        }
    }
    TRY(make_directories(data(), 0755));
    if ((options_.uid || options_.gid) && !needs_mount() &&
        chown(data().c_str(), options_.uid.value_or(0), options_.gid.value_or(0)) != 0) {
        return errno_error("owner of " + data());
    }
    return ok();
}

// mkfs makes lost+found, which would make the volume look used.
Result<void> LocalVolume::make_image() const {
    if (options_.size < smallest_image) {
        return invalid_argument(
            "a volume of less than 1 MiB needs project quotas, which the disk does not have");
    }
    {
        const UniqueFd file = TRY(open_file(image(), O_RDWR | O_CREAT | O_EXCL, 0600));
        if (ftruncate(file.get(), static_cast<off_t>(options_.size)) != 0) {
            return errno_error("size of " + image());
        }
    }
    TRY(run_mkfs(image()));
    TRY(mount_image());
    Result<void> done;
    if (rmdir((data() + "/lost+found").c_str()) != 0 ||
        chown(data().c_str(), options_.uid.value_or(0), options_.gid.value_or(0)) != 0) {
        done = errno_error("a new file system on " + data());
    }
    TRY(unmount());
    return done;
}

bool LocalVolume::needs_mount() const {
    return options_.has_source() || exists(image());
}

Result<bool> LocalVolume::is_mounted() const {
    return kernel::is_mount_point(data());
}

Result<void> LocalVolume::mount(const UniqueFd& share) const {
    if (!needs_mount() || TRY(is_mounted())) {
        return ok();
    }
    return options_.has_source() ? mount_source(share) : mount_image();
}

bool LocalVolume::is_share() const {
    constexpr auto shares = std::to_array<std::string_view>({"nfs", "nfs4", "cifs", "smb3"});
    return std::ranges::find(shares, options_.type) != shares.end();
}

Result<UniqueFd> LocalVolume::reach(const std::stop_token& stop) const {
    if (const auto mounted = is_mounted(); !mounted.ok() || !*mounted) {
        return open_source(stop);
    }
    const auto reached = kernel::reach_server_within(questions_, data(), stop);
    return reached.ok() ? Result<UniqueFd>(UniqueFd())
                        : mount_error(options_, data(), reached.error());
}

Result<void> LocalVolume::mount_image() const {
    // Mounted elsewhere (in the mount namespace of an engine before): two devices over one file
    // would not see what the other writes.
    if (const auto device = device_over(image())) {
        auto mount = kernel::make_mount("ext4", device->path, {{"discard", ""}}, 0);
        if (mount.ok()) {
            return kernel::attach_mount(*mount, data());
        }
    }
    const UniqueFd file = TRY(open_file(image(), O_RDWR));
    const kernel::LoopDevice device =
        TRY(kernel::attach_loop_device(file, kernel::LoopAccess::ReadWrite));
    const UniqueFd mount = TRY(kernel::make_mount("ext4", device.path, {{"discard", ""}}, 0));
    return kernel::attach_mount(mount, data());
}

Result<UniqueFd> LocalVolume::open_source(const std::stop_token& stop) const {
    const MountArguments arguments = TRY(mount_arguments(options_, resolve));
    kernel::CreateFileSystem create = kernel::create_file_system;
    if (is_share()) {
        create = [&](FdRef context) {
            return kernel::create_file_system_within(questions_, context, stop);
        };
    }
    auto mount = detached(options_, arguments, create);
    if (!mount.ok()) {
        return mount_error(options_, data(), mount.error());
    }
    return mount;
}

Result<void> LocalVolume::mount_source(const UniqueFd& share) const {
    UniqueFd own;
    if (!share) {
        own = TRY(open_source({}));
    }
    // What a container mounts in it is no business of the host's, unless the options say so.
    auto attached = kernel::attach_mount(share ? share : own, data());
    return attached.ok() ? ok() : Result<void>(mount_error(options_, data(), attached.error()));
}

Result<void> LocalVolume::unmount() const {
    if (is_share()) {
        return unmount_share();
    }
    return needs_mount() ? unmount_wholly(data()) : ok();
}

// The last unmount takes leave of the server, and of one that is gone only after minutes; by then
// nobody sees the mount any more. The threads are not waited for when the engine ends either: they
// end with it.
Result<void> LocalVolume::unmount_share() const {
    static WorkerPool& goodbyes =
        *std::make_unique<WorkerPool>(
             WorkerPool::Options{.threads = 8, .queue_limit = 8, .name = "share goodbye"})
             .release();
    const auto done = std::make_shared<std::promise<Result<void>>>();
    std::future<Result<void>> answer = done->get_future();
    const auto begun =
        goodbyes.submit([path = data(), done] { done->set_value(unmount_wholly(path)); });
    if (begun.ok() && answer.wait_for(patience_with_servers) == std::future_status::ready) {
        return answer.get();
    }
    return unmount_wholly(data());
}

Result<void> LocalVolume::write_within_limit(
    const std::function<Result<void>(const std::string& data)>& write) const {
    std::optional<kernel::HeldToLimits> held;
    if (options_.size != 0) {
        held.emplace();
    }
    return write(data());
}

void LocalVolume::forget_limit() const {
    if (options_.size == 0 || exists(image())) {
        return;
    }
    auto place = open_file(directory_, O_RDONLY | O_DIRECTORY);
    if (!place.ok()) {
        return;
    }
    const auto project = kernel::project_of(*place);
    if (!project.ok() || *project < first_project) {
        return;
    }
    if (auto done = kernel::limit_directory(*place, *project, 0); !done.ok()) {
        log::warn(
            "project quota of a volume not given back, ignoring",
            {{"path", directory_}, {"error", done.error().message()}});
    }
}

std::optional<std::int64_t> LocalVolume::image_size() const {
    struct stat status {};

    if (stat(image().c_str(), &status) != 0) {
        return std::nullopt;
    }
    return std::int64_t{status.st_blocks} * 512;
}

std::uint32_t highest_project(const std::string& volumes_directory) {
    std::uint32_t highest = first_project - 1;
    const auto names = list_directory(volumes_directory);
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        const auto place = open_file(volumes_directory + "/" + name, O_RDONLY | O_DIRECTORY);
        if (place.ok()) {
            const auto project = kernel::project_of(*place);
            highest = std::max(highest, project.ok() ? *project : 0);
        }
    }
    return highest;
}

} // namespace berth::engine
