// SPDX-License-Identifier: Apache-2.0
// One mount of --volume or --mount, after moby's volume/mounts/linux_parser.go, with its words.
#include "base/file.h"
#include "base/strings.h"
#include "engine/mount_plan.h"
#include "engine/volume_local.h"

#include <algorithm>
#include <optional>
#include <set>

namespace berth::engine {
namespace {

constexpr std::string_view propagations[] = {
    "private", "rprivate", "shared", "rshared", "slave", "rslave"};

// Of a volume mount: volume-opt=berth.owner=change|exchange.
constexpr const char* owner_option = "berth.owner";

bool is_propagation(std::string_view text) {
    return std::ranges::find(propagations, text) != std::end(propagations);
}

Error invalid_spec(std::string_view spec) {
    return invalid_argument("invalid volume specification: '" + std::string(spec) + "'");
}

Error invalid_mount(std::string_view type, std::string_view problem) {
    return invalid_argument(
        "invalid mount config for type \"" + std::string(type) + "\": " + std::string(problem));
}

Error not_absolute(std::string_view path) {
    return invalid_argument(
        "invalid mount path: '" + std::string(path) + "' mount path must be absolute");
}

// moby's linuxValidMountMode, and U and idmap after Podman.
enum class ModeKind : std::uint8_t { Access, Label, Propagation, Copy, Consistency, Owner };

std::optional<ModeKind> mode_kind(std::string_view option) {
    static constexpr std::pair<std::string_view, ModeKind> kinds[] = {
        {"rw", ModeKind::Access},
        {"ro", ModeKind::Access},
        {"z", ModeKind::Label},
        {"Z", ModeKind::Label},
        {"nocopy", ModeKind::Copy},
        {"consistent", ModeKind::Consistency},
        {"cached", ModeKind::Consistency},
        {"delegated", ModeKind::Consistency},
        {"U", ModeKind::Owner},
        {"idmap", ModeKind::Owner}};
    if (is_propagation(option)) {
        return ModeKind::Propagation;
    }
    for (const auto& [name, kind] : kinds) {
        if (name == option) {
            return kind;
        }
    }
    return std::nullopt;
}

bool is_valid_mode(std::string_view mode) {
    std::set<ModeKind> seen;
    return std::ranges::all_of(split(mode, ','), [&seen](std::string_view option) {
        const auto kind = mode_kind(option);
        return kind && seen.insert(*kind).second;
    });
}

// "ro,z,rshared"
Result<void> apply_mode(PlannedMount& mount, std::string_view mode) {
    if (!is_valid_mode(mode)) {
        return invalid_argument("invalid mode: " + std::string(mode));
    }
    for (std::string_view option : split(mode, ',')) {
        if (option == "ro") {
            mount.point.read_write = false;
        } else if (option == "nocopy") {
            if (mount.point.type == "bind") {
                return invalid_mount("bind", "field VolumeOptions must not be specified");
            }
            mount.copy_up = false;
        } else if (option == "z" || option == "Z") {
            mount.selinux_label = option;
        } else if (option == "U") {
            mount.owner = MountOwner::Change;
        } else if (option == "idmap") {
            mount.owner = MountOwner::Exchange;
        } else if (is_propagation(option)) {
            if (mount.point.type != "bind") {
                return invalid_mount(mount.point.type, "field BindOptions must not be specified");
            }
            mount.point.propagation = option;
        }
    }
    return ok();
}

// As moby says it: within the volume, whatever links are on the way.
Result<void> check_subpath(std::string_view type, const std::string& subpath) {
    const std::vector<std::string_view> steps = split(subpath, '/');
    if (subpath.starts_with('/') || std::ranges::find(steps, "..") != steps.end()) {
        return invalid_mount(type, "subpath must be a relative path within the volume");
    }
    return ok();
}

Result<void> check_bind_options(const Mount& asked) {
    const BindOptions& options = *asked.bind_options;
    if (!options.propagation.empty() && !is_propagation(options.propagation)) {
        return invalid_mount("bind", "invalid propagation mode: " + options.propagation);
    }
    if (options.read_only_non_recursive && !asked.read_only) {
        return invalid_mount(
            "bind", "BindOptions.ReadOnlyNonRecursive needs the mount to be read-only");
    }
    if (!options.read_only_force_recursive) {
        return ok();
    }
    if (!asked.read_only) {
        return invalid_mount(
            "bind", "BindOptions.ReadOnlyForceRecursive needs the mount to be read-only");
    }
    if (options.read_only_non_recursive) {
        return invalid_mount(
            "bind",
            "BindOptions.ReadOnlyForceRecursive conflicts with BindOptions.ReadOnlyNonRecursive");
    }
    if (!options.propagation.empty() && options.propagation != "rprivate") {
        return invalid_mount(
            "bind", "BindOptions.ReadOnlyForceRecursive needs the propagation rprivate");
    }
    return ok();
}

Result<PlannedMount> parse_bind_mount(const Mount& asked, PlannedMount mount) {
    if (asked.source.empty()) {
        return invalid_mount("bind", "field Source must not be empty");
    }
    if (asked.volume_options) {
        return invalid_mount("bind", "field VolumeOptions must not be specified");
    }
    if (!asked.source.starts_with('/')) {
        return invalid_mount("bind", not_absolute(asked.source).message());
    }
    mount.point.source = clean_path(asked.source);
    mount.point.propagation = "rprivate";
    if (const auto& options = asked.bind_options) {
        TRY(check_bind_options(asked));
        if (!options->propagation.empty()) {
            mount.point.propagation = options->propagation;
        }
        mount.recursive = !options->non_recursive;
        mount.create_source = options->create_mountpoint;
        mount.read_only_recursive = !options->read_only_non_recursive;
        mount.force_read_only_recursive = options->read_only_force_recursive;
    }
    if (!mount.create_source && !exists(mount.point.source)) {
        return invalid_mount("bind", "bind source path does not exist: " + mount.point.source);
    }
    return mount;
}

// What the engine itself wants to know does not go to the driver.
Result<void> take_own_options(PlannedMount& mount) {
    const auto found = mount.volume_options.find(owner_option);
    if (found == mount.volume_options.end()) {
        return ok();
    }
    auto owner = parse_mount_owner(found->second);
    if (!owner.ok()) {
        return invalid_mount("volume", owner.error().message());
    }
    mount.owner = *owner;
    mount.volume_options.erase(found);
    return ok();
}

Result<PlannedMount> parse_volume_mount(const Mount& asked, PlannedMount mount) {
    if (asked.bind_options) {
        return invalid_mount("volume", "field BindOptions must not be specified");
    }
    if (!asked.source.empty()) {
        TRY(check_volume_name(asked.source));
    }
    mount.point.name = asked.source;
    mount.point.driver = "local";
    mount.point.mode = "z";
    mount.anonymous = asked.source.empty();
    mount.copy_up = true;
    if (const auto& options = asked.volume_options) {
        mount.copy_up = !options->no_copy;
        mount.volume_labels = options->labels;
        mount.subpath = options->subpath;
        if (options->driver_config) {
            mount.volume_driver = options->driver_config->name;
            mount.volume_options = options->driver_config->options;
            TRY(take_own_options(mount));
        }
        if (mount.anonymous && !mount.subpath.empty()) {
            return invalid_mount("volume", "must not set Subpath when using anonymous volumes");
        }
        TRY(check_subpath("volume", mount.subpath));
    }
    if (asked.read_only && mount.anonymous) {
        return invalid_mount("volume", "must not set ReadOnly mode when using anonymous volumes");
    }
    return mount;
}

Result<PlannedMount> parse_tmpfs_mount(const Mount& asked, PlannedMount mount) {
    if (asked.bind_options) {
        return invalid_mount("tmpfs", "field BindOptions must not be specified");
    }
    if (!asked.source.empty()) {
        return invalid_mount("tmpfs", "field Source must not be specified");
    }
    std::vector<std::string> options;
    if (const auto& given = asked.tmpfs_options) {
        if (given->size_bytes < 0) {
            return invalid_mount("tmpfs", "invalid tmpfs size");
        }
        if (given->size_bytes > 0) {
            options.push_back("size=" + std::to_string(given->size_bytes));
        }
        if (given->mode != 0) {
            std::string octal;
            for (std::int64_t mode = given->mode & 07777; mode != 0; mode /= 8) {
                octal.insert(octal.begin(), static_cast<char>('0' + mode % 8));
            }
            options.push_back("mode=" + octal);
        }
        for (const std::vector<std::string>& option : given->options) {
            if (option.empty() || option.size() > 2) {
                return invalid_mount("tmpfs", "invalid option array length");
            }
            if (option[0] != "exec" && option[0] != "noexec") {
                return invalid_mount("tmpfs", "invalid option: " + option[0]);
            }
            options.push_back(option.size() == 2 ? option[0] + "=" + option[1] : option[0]);
        }
    }
    mount.tmpfs_options = merge_tmpfs_options(options);
    return mount;
}

// As Docker's, nobody can write it.
Result<PlannedMount> parse_image_mount(const Mount& asked, PlannedMount mount) {
    if (asked.bind_options) {
        return invalid_mount("image", "field BindOptions must not be specified");
    }
    if (asked.source.empty()) {
        return invalid_mount("image", "field Source must not be empty");
    }
    mount.point.name = asked.source;
    mount.point.read_write = false;
    if (asked.image_options) {
        mount.subpath = asked.image_options->subpath;
        TRY(check_subpath("image", mount.subpath));
    }
    return mount;
}

} // namespace

std::string_view to_string(MountOwner owner) {
    switch (owner) {
    case MountOwner::AsIs:
        return "";
    case MountOwner::Change:
        return "change";
    case MountOwner::Exchange:
        return "exchange";
    }
    VERIFY(false);
}

Result<MountOwner> parse_mount_owner(std::string_view text) {
    for (MountOwner owner : {MountOwner::AsIs, MountOwner::Change, MountOwner::Exchange}) {
        if (text == to_string(owner)) {
            return owner;
        }
    }
    return invalid_argument(
        "invalid value for berth.owner: \"" + std::string(text) +
        "\" (must be \"change\" or \"exchange\")");
}

Result<void> check_destination(std::string_view destination) {
    if (clean_path(destination) == "/") {
        return invalid_argument("invalid specification: destination can't be '/'");
    }
    return destination.starts_with('/') ? ok() : Result<void>(not_absolute(destination));
}

// Volumes of another container take neither a propagation nor a way of being filled.
Result<PlannedMount> plan_volume_mode(std::string_view mode) {
    PlannedMount mount;
    mount.point.type = "volume";
    mount.copy_up = true;
    if (!apply_mode(mount, mode).ok() || !mount.copy_up) {
        return invalid_argument("invalid mode: " + std::string(mode));
    }
    return mount;
}

// "[source:]destination[:mode]"
Result<PlannedMount> plan_volume_flag(const std::string& spec, const std::string& volume_driver) {
    const std::vector<std::string_view> parts = split(spec, ':');
    if (parts.size() > 3 || std::ranges::find(parts, "") != parts.end() ||
        (parts.size() == 2 && is_valid_mode(parts[1]))) {
        return invalid_spec(spec);
    }
    PlannedMount mount;
    const std::string_view source = parts.size() > 1 ? parts[0] : std::string_view();
    const std::string_view destination = parts.size() > 1 ? parts[1] : parts[0];
    mount.point.type = source.starts_with('/') ? "bind" : "volume";
    const auto in_spec = [&](const Error& problem) {
        return invalid_argument(invalid_spec(spec).message() + ": " + problem.message());
    };
    if (parts.size() == 3 && !is_valid_mode(parts[2])) {
        return invalid_argument("invalid mode: " + std::string(parts[2]));
    }
    if (auto checked = check_destination(destination); !checked.ok()) {
        return in_spec(invalid_mount(mount.point.type, checked.error().message()));
    }
    mount.point.destination = clean_path(destination);
    if (mount.point.type == "bind") {
        mount.point.source = clean_path(source);
        mount.point.propagation = "rprivate";
        mount.create_source = true;
    } else {
        mount.point.driver = "local";
        mount.volume_driver = volume_driver;
        mount.point.name = source;
        mount.anonymous = source.empty();
        mount.copy_up = true;
        mount.point.mode = source.empty() ? "" : "z";
        if (!source.empty()) {
            TRY(check_volume_name(mount.point.name));
        }
    }
    if (parts.size() == 3) {
        if (auto applied = apply_mode(mount, parts[2]); !applied.ok()) {
            return in_spec(applied.error());
        }
        mount.point.mode = parts[2];
    }
    return mount;
}

Result<PlannedMount> plan_mount(const Mount& asked) {
    if (asked.target.empty()) {
        return invalid_mount(asked.type, "field Target must not be empty");
    }
    if (auto checked = check_destination(asked.target); !checked.ok()) {
        return invalid_mount(asked.type, checked.error().message());
    }
    PlannedMount mount;
    mount.point.type = asked.type;
    mount.point.destination = clean_path(asked.target);
    mount.point.read_write = !asked.read_only;
    if (asked.type == "bind") {
        return parse_bind_mount(asked, std::move(mount));
    }
    if (asked.type == "volume") {
        return parse_volume_mount(asked, std::move(mount));
    }
    if (asked.type == "tmpfs") {
        return parse_tmpfs_mount(asked, std::move(mount));
    }
    if (asked.type == "image") {
        return parse_image_mount(asked, std::move(mount));
    }
    return invalid_mount(asked.type, "mount type unknown");
}

} // namespace berth::engine
