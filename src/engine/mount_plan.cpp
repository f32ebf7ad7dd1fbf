// SPDX-License-Identifier: Apache-2.0
// The list of a container's mounts, after moby's daemon/volumes.go: who asked wins over what is
// inherited, and that over what the image wants.
#include "engine/mount_plan.h"

#include "base/strings.h"

#include <map>
#include <set>

namespace berth::engine {
namespace {

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
        const std::string_view mode = parts && !parts->after.empty() ? parts->after : "rw";
        if (container.empty()) {
            return invalid_argument("volumes-from specification cannot be an empty string");
        }
        const PlannedMount asked = TRY(plan_volume_mode(mode));
        for (PlannedMount& mount : TRY(mounts_of(container))) {
            mount.point.read_write = mount.point.read_write && asked.point.read_write;
            mount.owner = asked.owner == MountOwner::AsIs ? mount.owner : asked.owner;
            mount.in_transit = false;
            mount.layer.clear();
            mount.copy_up = false;
            mount.inherited = true;
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
        PlannedMount mount = TRY(plan_volume_flag(spec, host_config.volume_driver));
        TRY(planner.add(std::move(mount)));
    }
    for (const Mount& asked : host_config.mounts) {
        PlannedMount mount = TRY(plan_mount(asked));
        TRY(planner.add(std::move(mount)));
    }
    for (const auto& [destination, options] : host_config.tmpfs) {
        TRY(check_destination(destination));
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
        // VOLUME in a Dockerfile may say "data": Docker takes that from the root.
        mount.point.destination = clean_path("/" + destination);
        TRY(check_destination(mount.point.destination));
        mount.volume_driver = host_config.volume_driver;
        mount.anonymous = true;
        mount.copy_up = true;
        planner.add_fallback(std::move(mount));
    }
    return planner.take();
}

} // namespace berth::engine
