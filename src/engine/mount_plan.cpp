// SPDX-License-Identifier: Apache-2.0
// After moby's volume/mounts/linux_parser.go and daemon/volumes.go, with their words.
#include "engine/mount_plan.h"

#include "base/file.h"
#include "base/strings.h"
#include "engine/volumes.h"

#include <algorithm>
#include <map>
#include <set>

namespace berth::engine {
namespace {

constexpr std::string_view propagations[] = {
    "private", "rprivate", "shared", "rshared", "slave", "rslave"};

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

// "ro,z,rshared" of a bind.
Result<void> apply_mode(PlannedMount& mount, std::string_view mode) {
    const Error invalid = invalid_argument("invalid mode: " + std::string(mode));
    unsigned access = 0;
    unsigned labels = 0;
    unsigned propagation = 0;
    for (std::string_view option : split(mode, ',')) {
        if (option == "rw" || option == "ro") {
            mount.point.read_write = option == "rw";
            ++access;
        } else if (option == "z" || option == "Z") {
            ++labels; // SELinux labels are never set
        } else if (option == "nocopy") {
            mount.copy_up = false;
        } else if (is_propagation(option) && mount.point.type == "bind") {
            mount.point.propagation = option;
            ++propagation;
        } else if (option != "consistent" && option != "cached" && option != "delegated") {
            return invalid;
        }
    }
    if (access > 1 || labels > 1 || propagation > 1) {
        return invalid;
    }
    return ok();
}

Result<void> check_destination(std::string_view destination, const Error& root_error) {
    if (!destination.starts_with('/')) {
        return not_absolute(destination);
    }
    if (clean_path(destination) == "/") {
        return root_error;
    }
    return ok();
}

// "[source:]destination[:mode]"
Result<PlannedMount> parse_bind(const std::string& spec) {
    const std::vector<std::string_view> parts = split(spec, ':');
    if (parts.size() > 3 || std::ranges::find(parts, "") != parts.end()) {
        return invalid_spec(spec);
    }
    PlannedMount mount;
    const std::string_view source = parts.size() > 1 ? parts[0] : std::string_view();
    const std::string_view destination = parts.size() > 1 ? parts[1] : parts[0];
    TRY(check_destination(
        destination,
        invalid_argument(
            "invalid volume specification: '" + spec + "': invalid mount config for type \"" +
            (source.starts_with('/') ? "bind" : "volume") +
            "\": invalid specification: destination can't be '/'")));
    mount.point.destination = clean_path(destination);
    if (source.starts_with('/')) {
        mount.point.type = "bind";
        mount.point.source = clean_path(source);
        mount.point.propagation = "rprivate";
        mount.create_source = true;
    } else {
        mount.point.type = "volume";
        mount.point.driver = "local";
        mount.point.name = source;
        mount.anonymous = source.empty();
        mount.copy_up = true;
        mount.point.mode = source.empty() ? "" : "z";
        if (!source.empty() && !Volumes::is_valid_name(source)) {
            return invalid_argument(
                "create " + std::string(source) + ": \"" + std::string(source) +
                "\" includes invalid characters for a local volume name, only "
                "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                "directory, use absolute path");
        }
    }
    if (parts.size() == 3) {
        TRY(apply_mode(mount, parts[2]));
        mount.point.mode = parts[2];
    }
    return mount;
}

Result<PlannedMount> parse_bind_mount(const Mount& asked, PlannedMount mount) {
    if (asked.source.empty()) {
        return invalid_mount("bind", "field Source must not be empty");
    }
    if (!asked.source.starts_with('/')) {
        return invalid_mount("bind", not_absolute(asked.source).message());
    }
    mount.point.source = clean_path(asked.source);
    mount.point.propagation = "rprivate";
    if (const auto& options = asked.bind_options) {
        if (!options->propagation.empty()) {
            if (!is_propagation(options->propagation)) {
                return invalid_mount("bind", "invalid propagation mode: " + options->propagation);
            }
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

Result<PlannedMount> parse_volume_mount(const Mount& asked, PlannedMount mount) {
    if (!asked.source.empty() && !Volumes::is_valid_name(asked.source)) {
        return invalid_mount("volume", "invalid volume name: " + asked.source);
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
        }
        const std::vector<std::string_view> steps = split(mount.subpath, '/');
        if (mount.subpath.starts_with('/') || std::ranges::find(steps, "..") != steps.end()) {
            return invalid_mount("volume", "subpath must be a relative path within the volume");
        }
    }
    return mount;
}

Result<PlannedMount> parse_tmpfs_mount(const Mount& asked, PlannedMount mount) {
    if (!asked.source.empty()) {
        return invalid_mount("tmpfs", "source must not be specified");
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
            options.push_back(option.size() == 2 ? option[0] + "=" + option[1] : option[0]);
        }
    }
    mount.tmpfs_options = merge_tmpfs_options(options);
    return mount;
}

Result<PlannedMount> parse_mount(const Mount& asked) {
    if (asked.target.empty()) {
        return invalid_mount(asked.type, "field Target must not be empty");
    }
    auto checked = check_destination(
        asked.target, invalid_argument("invalid specification: destination can't be '/'"));
    if (!checked.ok()) {
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
        return not_implemented("mounts of type \"image\" are not implemented by this engine");
    }
    return invalid_mount(asked.type, "mount type unknown");
}

class Planner {
  public:
    Result<void> add(PlannedMount mount) {
        const std::string destination = mount.point.destination;
        if (!own_.insert(destination).second) {
            return invalid_argument("Duplicate mount point: " + destination);
        }
        mounts_.insert_or_assign(destination, std::move(mount));
        return ok();
    }

    // Inherited ones and the image's give way.
    void add_fallback(PlannedMount mount) {
        mounts_.emplace(mount.point.destination, std::move(mount));
    }

    std::vector<PlannedMount> take() {
        std::vector<PlannedMount> result;
        for (auto& [destination, mount] : mounts_) {
            result.push_back(std::move(mount));
        }
        return result;
    }

  private:
    std::map<std::string, PlannedMount> mounts_;
    std::set<std::string> own_;
};

Result<void>
add_volumes_from(Planner& planner, const HostConfig& host_config, const MountsOf& mounts_of) {
    for (const std::string& spec : host_config.volumes_from) {
        auto parts = cut(spec, ":");
        const std::string container(parts ? parts->before : std::string_view(spec));
        const std::string_view mode = parts ? parts->after : "rw";
        if (container.empty() || (mode != "rw" && mode != "ro")) {
            return invalid_argument("invalid volumes-from specification: " + spec);
        }
        for (PlannedMount& mount : TRY(mounts_of(container))) {
            mount.point.read_write = mount.point.read_write && mode == "rw";
            mount.copy_up = false;
            mount.anonymous = false;
            planner.add_fallback(std::move(mount));
        }
    }
    return ok();
}

} // namespace

std::vector<std::string> merge_tmpfs_options(const std::vector<std::string>& options) {
    static constexpr std::pair<std::string_view, std::string_view> opposites[] = {
        {"exec", "noexec"}, {"suid", "nosuid"}, {"dev", "nodev"}, {"rw", "ro"}};
    std::vector<std::string> merged{"noexec", "nosuid", "nodev"};
    for (const std::string& option : options) {
        if (option.empty()) {
            continue;
        }
        std::erase_if(merged, [&option](const std::string& earlier) {
            for (const auto& [a, b] : opposites) {
                if ((earlier == a || earlier == b) && (option == a || option == b)) {
                    return true;
                }
            }
            return earlier.substr(0, earlier.find('=')) == option.substr(0, option.find('='));
        });
        merged.push_back(option);
    }
    return merged;
}

Result<std::vector<PlannedMount>> plan_mounts(
    const ContainerConfig& config, const HostConfig& host_config, const MountsOf& mounts_of) {
    Planner planner;
    for (const std::string& spec : host_config.binds) {
        PlannedMount mount = TRY(parse_bind(spec));
        TRY(planner.add(std::move(mount)));
    }
    for (const Mount& asked : host_config.mounts) {
        PlannedMount mount = TRY(parse_mount(asked));
        TRY(planner.add(std::move(mount)));
    }
    for (const auto& [destination, options] : host_config.tmpfs) {
        TRY(check_destination(
            destination, invalid_argument("invalid specification: destination can't be '/'")));
        PlannedMount mount;
        mount.point.type = "tmpfs";
        mount.point.destination = clean_path(destination);
        std::vector<std::string> given;
        for (std::string_view option : split(options, ',')) {
            given.emplace_back(option);
        }
        mount.tmpfs_options = merge_tmpfs_options(given);
        TRY(planner.add(std::move(mount)));
    }
    TRY(add_volumes_from(planner, host_config, mounts_of));
    for (const auto& [destination, nothing] : config.volumes) {
        PlannedMount mount;
        mount.point.type = "volume";
        mount.point.driver = "local";
        mount.point.destination = clean_path(destination);
        mount.anonymous = true;
        mount.copy_up = true;
        planner.add_fallback(std::move(mount));
    }
    return planner.take();
}

} // namespace berth::engine
