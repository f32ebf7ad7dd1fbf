// SPDX-License-Identifier: Apache-2.0
// Before the clone: options are read, and what is bound from the host becomes a detached mount with
// its attributes and its id mapping.
#include "kernel/mount.h"
#include "kernel/path.h"
#include "runtime/container_mounts.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

Result<bool> is_directory(FdRef place) {
    struct stat status {};

    if (::fstat(place.get(), &status) < 0) {
        return errno_error("stat");
    }
    return S_ISDIR(status.st_mode);
}

bool is_cgroup(const PreparedMount& prepared) {
    const std::string& type = prepared.mount->type;
    return (type == "cgroup" || type == "cgroup2") && !prepared.options.bind &&
           !prepared.options.remount;
}

// User namespaces that stand for mappings, each made once: many mounts may have the same.
class Mappings {
  public:
    Result<UniqueFd>
    find(const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids) {
        const std::string uid_map = id_map_text(uids);
        const std::string gid_map = id_map_text(gids);
        UniqueFd& found = made_[uid_map + "\n" + gid_map];
        if (!found) {
            found = TRY(kernel::make_user_namespace(uid_map, gid_map));
        }
        return found.duplicate();
    }

  private:
    std::map<std::string, UniqueFd> made_;
};

// The mapping of the mount itself, or that of the container's user namespace.
Result<UniqueFd> id_map_namespace(
    const oci::Mount& mount,
    const oci::Linux& linux_object,
    const MountSources& sources,
    Mappings& mappings) {
    if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
        return invalid_argument("uidMappings and gidMappings go together");
    }
    if (!mount.uid_mappings.empty()) {
        return mappings.find(mount.uid_mappings, mount.gid_mappings);
    }
    for (const JoinedNamespace& entry : sources.joined) {
        if (entry.flag == CLONE_NEWUSER) {
            return entry.file.duplicate();
        }
    }
    if (linux_object.uid_mappings.empty()) {
        return invalid_argument("idmap needs uidMappings and gidMappings, or a user namespace");
    }
    return mappings.find(linux_object.uid_mappings, linux_object.gid_mappings);
}

Result<void> map_ids(
    const PreparedMount& prepared,
    const oci::Linux& linux_object,
    const MountSources& sources,
    Mappings& mappings) {
    const oci::Mount& mount = *prepared.mount;
    if (prepared.options.id_map == IdMap::None && mount.uid_mappings.empty() &&
        mount.gid_mappings.empty()) {
        return ok();
    }
    UniqueFd mapping = TRY(id_map_namespace(mount, linux_object, sources, mappings));
    Result<void> mapped = kernel::set_mount_attributes(
        prepared.source,
        {.set = MOUNT_ATTR_IDMAP, .user_namespace = mapping.get()},
        prepared.options.id_map == IdMap::Recursive ? kernel::Recursive::Yes
                                                    : kernel::Recursive::No);
    if (!mapped.ok() && mapped.error().error_number() == EINVAL) {
        return Error(
            ErrorKind::Unavailable,
            "the file system of \"" + mount.source + "\" cannot be id-mapped by this kernel");
    }
    return mapped;
}

Result<void> prepare_bind(
    PreparedMount& prepared,
    const oci::RuntimeConfig& config,
    const MountSources& sources,
    Mappings& mappings) {
    const MountOptions& options = prepared.options;
    const std::string& source = prepared.mount->source;
    if (!options.parameters.empty()) {
        return invalid_argument(
            "bind mount with file system option \"" + options.parameters[0].key + "\"");
    }
    std::string path = source.starts_with('/') ? source : sources.bundle + "/" + source;
    if (options.copy_link) {
        std::array<char, 4096> target{};
        ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
        if (size > 0) {
            prepared.link_target.assign(target.data(), static_cast<std::size_t>(size));
            return ok();
        }
    }
    prepared.source = TRY(kernel::clone_mount(
        path,
        options.recursive_bind,
        options.source_is_link ? kernel::LinkSource::Itself : kernel::LinkSource::Follow));
    prepared.is_directory = TRY(is_directory(prepared.source));
    prepared.is_procfs = TRY(is_procfs(prepared.source));
    TRY(map_ids(prepared, config.linux_, sources, mappings));
    // Private or slave before anything else: no mount event of the container may reach the host.
    bool shared = std::any_of(
        options.propagation.begin(), options.propagation.end(), [](const Propagation& entry) {
            return entry.type == MS_SHARED;
        });
    if (!shared) {
        TRY(kernel::set_mount_attributes(
            prepared.source, {.propagation = MS_SLAVE}, kernel::Recursive::Yes));
    }
    return apply_options(prepared.source, options);
}

Result<void> check_options(const PreparedMount& prepared) {
    const MountOptions& options = prepared.options;
    if (options.copy_up && (options.bind || prepared.mount->type != "tmpfs")) {
        return invalid_argument("tmpcopyup is an option of tmpfs");
    }
    const bool mapped = options.id_map != IdMap::None || !prepared.mount->uid_mappings.empty() ||
                        !prepared.mount->gid_mappings.empty();
    if (mapped && (!options.bind || options.remount)) {
        return invalid_argument("only bind mounts can be id-mapped");
    }
    return ok();
}

} // namespace

Result<void> apply_options(FdRef mount, const MountOptions& options) {
    if (!options.recursive_attributes.empty()) {
        TRY(kernel::set_mount_attributes(
            mount,
            {.set = options.recursive_attributes.set, .clear = options.recursive_attributes.clear},
            kernel::Recursive::Yes));
    }
    for (const Propagation& entry : options.propagation) {
        TRY(kernel::set_mount_attributes(mount, {.propagation = entry.type}, entry.recursive));
    }
    if (!options.attributes.empty()) {
        TRY(kernel::set_mount_attributes(
            mount,
            {.set = options.attributes.set, .clear = options.attributes.clear},
            kernel::Recursive::No));
    }
    return ok();
}

Result<std::vector<PreparedMount>>
prepare_mounts(const oci::RuntimeConfig& config, const MountSources& sources) {
    std::vector<PreparedMount> prepared;
    Mappings mappings;
    prepared.reserve(config.mounts.size());
    for (const oci::Mount& mount : config.mounts) {
        PreparedMount& entry = prepared.emplace_back();
        entry.mount = &mount;
        entry.member = "mounts[" + std::to_string(prepared.size() - 1) + "]";
        entry.options = TRY_CONTEXT(parse_mount_options(mount.options), entry.member + ".options");
        entry.options.bind = entry.options.bind || mount.type == "bind";
        TRY_CONTEXT(check_options(entry), entry.member + ".options");
        if (is_cgroup(entry) && sources.cgroup != nullptr) {
            // With systemd some are made only now and then: see are_complete().
            auto groups = prepare_groups(
                *sources.cgroup,
                {.is_unified = mount.type == "cgroup2",
                 .own_namespace = sources.own_cgroup_namespace,
                 .attributes =
                     entry.options.attributes.set | entry.options.recursive_attributes.set});
            if (groups.ok()) {
                entry.groups = std::move(*groups);
            }
        }
        if (entry.options.bind && !entry.options.remount) {
            TRY_CONTEXT(
                prepare_bind(entry, config, sources, mappings),
                entry.member + ": mount \"" + mount.source + "\" to \"" + mount.destination + "\"");
        }
    }
    return prepared;
}

bool are_complete(const std::vector<PreparedMount>& mounts) {
    return std::ranges::none_of(
        mounts, [](const PreparedMount& mount) { return is_cgroup(mount) && !mount.groups; });
}

} // namespace berth::runtime
