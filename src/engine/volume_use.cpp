// SPDX-License-Identifier: Apache-2.0
// Volumes while they are used: mounted for the first user, unmounted after the last, filled once.
#include "base/file.h"
#include "base/log.h"
#include "engine/volume_local.h"
#include "engine/volume_plugins.h"
#include "engine/volumes.h"
#include "store/tree_removal.h"

#include <optional>

#include <fcntl.h>

namespace berth::engine {
namespace {

Result<void> empty_directory(const std::string& path) {
    const UniqueFd place = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
    for (const std::string& name : TRY(list_directory(path))) {
        TRY(store::remove_tree_at(place, name));
    }
    return ok();
}

void complain_of_volume(const char* what, const std::string& volume, const Result<void>& done) {
    if (!done.ok()) {
        log::warn(what, {{"volume", volume}, {"error", done.error().message()}});
    }
}

} // namespace

Result<Volumes::Locked> Volumes::lock(const std::string& name) const {
    const auto find = [&](Table& table) -> Result<Entry*> {
        const auto found = table.find(name);
        if (found == table.end()) {
            return not_found("get " + name + ": no such volume");
        }
        return &found->second;
    };
    while (true) {
        Locked locked;
        {
            auto table = table_.lock();
            locked.operation = TRY(find(*table))->operation;
        }
        locked.lock = std::unique_lock(*locked.operation);
        auto table = table_.lock();
        const Entry& entry = *TRY(find(*table));
        if (entry.operation == locked.operation) {
            locked.row = entry.row;
            locked.holders = entry.holders;
            locked.users = entry.users;
            return locked;
        }
        // Removed and made again meanwhile.
    }
}

Result<Volumes::Locked>
Volumes::lock_reached(const std::string& name, const std::stop_token& stop) const {
    while (true) {
        std::optional<VolumeRow> row;
        {
            auto table = table_.lock();
            if (const auto found = table->find(name); found != table->end()) {
                row = found->second.row;
            }
        }
        if (!row || row->info.driver != "local") {
            return lock(name);
        }
        const LocalVolume volume = TRY(local(*row));
        if (!volume.is_share()) {
            return lock(name);
        }
        UniqueFd share =
            TRY_CONTEXT(volume.reach(stop), "error while mounting volume '" + volume.data() + "'");
        Locked locked = TRY(lock(name));
        const bool is_ready = share || TRY(volume.is_mounted());
        if (is_ready && locked.row.info.options == row->info.options) {
            locked.share = std::move(share);
            return locked;
        }
        // Its last user left meanwhile, or another volume has the name.
    }
}

Result<std::string>
Volumes::mount(const std::string& name, const std::string& user, const std::stop_token& stop) {
    const Locked locked = TRY(lock_reached(name, stop));
    std::string path = TRY(mount_locked(locked, user));
    auto table = table_.lock();
    Entry& entry = table->at(name);
    entry.users.insert(user);
    if (locked.row.info.driver != "local") {
        entry.row.info.mountpoint = path;
    }
    return path;
}

Result<std::string> Volumes::mount_locked(const Locked& locked, const std::string& user) {
    const VolumeInfo& info = locked.row.info;
    if (info.driver != "local") {
        if (locked.users.contains(user) && !info.mountpoint.empty()) {
            return info.mountpoint;
        }
        TRY(rows_.add_plugin_mount({info.name, user}));
        auto path = plugins_->mount(info.driver, info.name, user);
        if (!path.ok() && !locked.users.contains(user)) {
            complain_of_volume(
                "plugin mount not forgotten, ignoring",
                info.name,
                rows_.remove_plugin_mount({info.name, user}));
        }
        return path;
    }
    const LocalVolume volume = TRY(local(locked.row));
    const std::string data = volume.data();
    if (const auto mounted = volume.is_mounted(); !mounted.ok() || !*mounted) {
        TRY(make_directories(data, 0755));
    }
    TRY_CONTEXT(volume.mount(locked.share), "error while mounting volume '" + data + "'");
    if (locked.row.filling && locked.users.empty()) {
        TRY(empty_directory(data)); // an engine was killed while it filled it
        TRY(set_filling(info.name, false));
    }
    return data;
}

void Volumes::unmount(const std::string& name, const std::string& user) {
    give_back(name, user, Uses::One);
}

void Volumes::unmount_all(const std::string& name, const std::string& user) {
    give_back(name, user, Uses::All);
}

void Volumes::give_back(const std::string& name, const std::string& user, Uses uses) {
    if (const auto locked = lock(name); locked.ok()) {
        give_back_locked(locked->row, user, uses);
    }
}

void Volumes::give_back_locked(const VolumeRow& row, const std::string& user, Uses uses) {
    const std::string& name = row.info.name;
    bool has_users = false;
    {
        auto table = table_.lock();
        auto& users = table->at(name).users;
        if (!users.contains(user)) {
            return;
        }
        users.erase(users.find(user));
        if (uses == Uses::All) {
            users.erase(user);
        }
        if (users.contains(user)) {
            return;
        }
        has_users = !users.empty();
    }
    if (row.info.driver != "local") {
        complain_of_volume(
            "plugin did not unmount a volume, ignoring",
            name,
            plugins_->unmount(row.info.driver, name, user));
        complain_of_volume(
            "plugin mount not forgotten, ignoring", name, rows_.remove_plugin_mount({name, user}));
        return;
    }
    if (!has_users) {
        unmount_local(row);
    }
}

void Volumes::unmount_local(const VolumeRow& row) {
    const auto volume = local(row);
    complain_of_volume(
        "volume not unmounted, ignoring",
        row.info.name,
        volume.ok() ? volume->unmount() : Result<void>(volume.error()));
}

void Volumes::adopt(const std::string& name, const std::string& user) {
    auto table = table_.lock();
    if (auto found = table->find(name); found != table->end()) {
        found->second.users.insert(user);
    }
}

Result<void> Volumes::set_filling(const std::string& name, bool filling) {
    TRY(rows_.set_filling(name, filling));
    table_.lock()->at(name).row.filling = filling;
    return ok();
}

Result<void> Volumes::fill(const std::string& name, const std::string& user, const Fill& fill) {
    const Locked locked = TRY(lock(name));
    const std::string directory = TRY(mount_locked(locked, user));
    if (!TRY(list_directory(directory)).empty()) {
        return ok();
    }
    // With somebody else in it, what is there may be theirs; what lies elsewhere (a directory of
    // the host, a share) is open to others in any case.
    const bool alone = locked.users.size() <= 1;
    if (locked.row.info.driver != "local") {
        return fill(directory);
    }
    const LocalVolume volume = TRY(local(locked.row));
    if (!alone || volume.is_elsewhere()) {
        return volume.write_within_limit(fill);
    }
    TRY(set_filling(name, true));
    auto filled = volume.write_within_limit(fill);
    if (!filled.ok()) {
        TRY(empty_directory(directory));
    }
    TRY(set_filling(name, false));
    return filled;
}

void Volumes::sweep() {
    std::vector<std::string> names;
    {
        auto table = table_.lock();
        for (const auto& [name, entry] : *table) {
            names.push_back(name);
        }
    }
    std::vector<std::string> held;
    for (const std::string& name : names) {
        const auto locked = lock(name);
        if (!locked.ok()) {
            continue;
        }
        const VolumeRow& row = locked->row;
        if (row.pending && locked->holders.empty() && locked->users.empty()) {
            log::info("swept volume of a container that was not created", {{"volume", name}});
            complain_of_volume("volume not swept, ignoring", name, remove_locked(row, true));
            continue;
        }
        if (row.pending) {
            held.push_back(name);
        }
        if (row.info.driver == "local" && locked->users.empty()) {
            unmount_local(row);
        }
    }
    settle(held);
    const auto mounts = rows_.plugin_mounts();
    for (const auto& [volume, user] :
         mounts.ok() ? *mounts : decltype(rows_.plugin_mounts().value()){}) {
        const auto locked = lock(volume);
        if (locked.ok() && locked->users.contains(user)) {
            continue;
        }
        if (locked.ok()) {
            complain_of_volume(
                "plugin did not unmount a volume, ignoring",
                volume,
                plugins_->unmount(locked->row.info.driver, volume, user));
        }
        complain_of_volume(
            "plugin mount not forgotten, ignoring",
            volume,
            rows_.remove_plugin_mount({volume, user}));
    }
}

} // namespace berth::engine
