// SPDX-License-Identifier: Apache-2.0
// Creation and removal. A new volume is made under a name that no volume can have, then comes its
// row, then its name; an old one loses its name first, then its row. So a directory without a row
// is a leftover, and a row without a directory tells which of the two was under way.
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/rollback.h"
#include "base/strings.h"
#include "engine/volume_local.h"
#include "engine/volume_plugins.h"
#include "engine/volumes.h"
#include "store/tree_removal.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace berth::engine {
namespace {

bool is_local(const std::string& driver) {
    return driver.empty() || driver == "local";
}

Result<void> sync_file_system(const std::string& path) {
    const UniqueFd place = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
    return syncfs(place.get()) == 0 ? ok() : Result<void>(errno_error("sync " + path));
}

} // namespace

std::string Volumes::making_directory(const std::string& name) const {
    return directory_ + "/.new-" + name;
}

std::string Volumes::going_directory(const std::string& name) const {
    return directory_ + "/.gone-" + name;
}

Result<VolumeRow> Volumes::row_of(const VolumeCreate& request) const {
    VolumeRow row;
    VolumeInfo& info = row.info;
    info.driver = is_local(request.driver) ? "local" : request.driver;
    info.anonymous = request.name.empty();
    info.name = info.anonymous ? random_hex(32) : request.name;
    TRY(check_volume_name(info.name));
    info.labels = request.labels;
    if (info.anonymous) {
        info.labels.emplace(anonymous_label, "");
    }
    info.options = request.options;
    info.created = Timestamp::now();
    row.pending = info.anonymous && !request.holder.empty();
    if (info.driver == "local") {
        TRY_CONTEXT(parse_local_options(info.options), "create " + info.name);
    }
    return row;
}

Result<VolumeInfo> Volumes::create(const VolumeCreate& request) {
    while (true) {
        VolumeRow row = TRY(row_of(request));
        auto existing = take_existing(request);
        if (existing.ok() || existing.error().kind() != ErrorKind::NotFound) {
            return existing;
        }
        if (request.driver.empty() && !request.name.empty()) {
            // A plugin's volume is known by its name alone.
            if (const auto foreign = find_foreign(request.name)) {
                row.info.driver = foreign->driver;
            }
        }
        const std::string name = row.info.name;
        if (auto made = TRY_CONTEXT(make(std::move(row), request.holder, {}), "create " + name)) {
            return std::move(*made);
        }
        // Somebody else made it meanwhile.
    }
}

Result<VolumeInfo> Volumes::take_existing(const VolumeCreate& request) {
    const Locked locked = TRY(lock(request.name)); // after whoever makes or removes it
    const VolumeInfo& info = locked.row.info;
    if (!request.driver.empty() && request.driver != info.driver) {
        return conflict(
            "create " + info.name + ": driver '" + info.driver + "' already has volume '" +
            info.name + "': volume name must be unique");
    }
    auto table = table_.lock();
    Entry& entry = table->at(info.name);
    if (!request.holder.empty()) {
        entry.holders.insert(request.holder);
    }
    return info_of(entry);
}

Result<std::optional<VolumeInfo>>
Volumes::make(VolumeRow row, const std::string& holder, const Contents& contents) {
    const std::string name = row.info.name;
    Entry entry{.row = row, .holders = {}, .users = {}, .is_new = true};
    // Outlives the table's entry, which may be gone before the lock is.
    const std::shared_ptr<std::mutex> kept = entry.operation;
    const std::lock_guard operation(*kept);
    if (!table_.lock()->emplace(name, std::move(entry)).second) {
        return std::optional<VolumeInfo>();
    }
    Rollback rollback;
    rollback.push([&] { table_.lock()->erase(name); });
    TRY(make_files(row, contents));
    rollback.commit();
    VolumeInfo info;
    {
        auto table = table_.lock();
        Entry& made = table->at(name);
        made.row = row;
        made.is_new = false;
        if (!holder.empty()) {
            made.holders.insert(holder);
        }
        info = info_of(made);
    }
    publish("create", info);
    return std::optional(std::move(info));
}

Result<void> Volumes::make_files(VolumeRow& row, const Contents& contents) {
    if (row.info.driver == "local") {
        return make_local(row, contents);
    }
    if (contents) {
        return not_implemented(
            "a volume with content from elsewhere can only be made by the local driver");
    }
    TRY(plugins_->create(row.info.driver, row.info.name, row.info.options));
    row.info.scope = plugins_->scope(row.info.driver);
    return rows_.insert(row);
}

Result<void> Volumes::make_local(const VolumeRow& row, const Contents& contents) {
    const std::string& name = row.info.name;
    const std::string making = making_directory(name);
    const LocalOptions options = TRY(parse_local_options(row.info.options));
    if (contents && options.type == "tmpfs") {
        return invalid_argument("a tmpfs would lose its content at once");
    }
    const LocalVolume volume(making, options);
    Rollback rollback;
    rollback.push([&] {
        Result<void> removed = volume.unmount();
        if (removed.ok()) {
            volume.forget_limit();
            removed = store::remove_tree_of(making);
        }
        if (!removed.ok()) {
            log::warn("half made volume stays until the next start, ignoring", {{"path", making}});
        }
    });
    if (options.size != 0) {
        const std::lock_guard one_project(quota_);
        TRY(volume.make(highest_project(directory_) + 1));
    } else {
        TRY(volume.make(0));
    }
    if (contents) {
        TRY(volume.mount());
        TRY(volume.write_within_limit(contents));
        TRY(sync_file_system(volume.data()));
        TRY(volume.unmount());
    }
    TRY(rows_.insert(row));
    if (std::rename(making.c_str(), directory_of(name).c_str()) != 0) {
        const Error failed = errno_error("making volume " + name);
        [[maybe_unused]] auto removed = rows_.remove(name);
        return failed;
    }
    rollback.commit();
    return ok();
}

Result<void> Volumes::remove(const std::string& name, bool force) {
    auto locked = lock(name);
    if (!locked.ok()) {
        const auto foreign = find_foreign(name);
        if (!foreign) {
            return force ? ok() : Result<void>(std::move(locked).error());
        }
        return plugins_->remove(foreign->driver, name);
    }
    std::set<std::string> users = locked->holders;
    users.insert(locked->users.begin(), locked->users.end());
    if (!users.empty()) {
        const std::vector<std::string> holders(users.begin(), users.end());
        return conflict("remove " + name + ": volume is in use - [" + join(holders, ", ") + "]");
    }
    return remove_locked(locked->row, force);
}

Result<void> Volumes::remove_locked(const VolumeRow& row, bool force) {
    const std::string& name = row.info.name;
    if (row.info.driver == "local") {
        return remove_local(row);
    }
    auto removed = plugins_->remove(row.info.driver, name);
    if (!removed.ok() && !force) {
        return std::move(removed).error().with_context("remove " + name);
    }
    TRY(rows_.remove(name));
    table_.lock()->erase(name);
    publish("destroy", row.info);
    return ok();
}

Result<void> Volumes::remove_local(const VolumeRow& row) {
    const std::string& name = row.info.name;
    const std::string directory = directory_of(name);
    const std::string going = going_directory(name);
    const LocalVolume volume = TRY(local(row));
    TRY_CONTEXT(volume.unmount(), "remove " + name);
    if (std::rename(directory.c_str(), going.c_str()) != 0 && errno != ENOENT) {
        return errno_error("remove " + name);
    }
    if (auto erased = rows_.remove(name); !erased.ok()) {
        [[maybe_unused]] const int back = std::rename(going.c_str(), directory.c_str());
        return erased;
    }
    table_.lock()->erase(name);
    const LocalVolume gone(going, TRY(parse_local_options(row.info.options)));
    gone.forget_limit();
    if (auto removed = store::remove_tree_of(going); !removed.ok()) {
        log::warn(
            "files of a removed volume stay until the next start, ignoring",
            {{"path", going}, {"error", removed.error().message()}});
    }
    publish("destroy", row.info);
    return ok();
}

} // namespace berth::engine
