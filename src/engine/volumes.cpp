// SPDX-License-Identifier: Apache-2.0
// The table of volumes: what there is, who holds it, what the last engine left.
#include "engine/volumes.h"

#include "base/disk_size.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/events.h"
#include "engine/names.h"
#include "engine/pattern.h"
#include "engine/volume_local.h"
#include "engine/volume_plugins.h"
#include "store/tree_removal.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace berth::engine {
namespace {

Error no_such_volume(const std::string& name) {
    return not_found("get " + name + ": no such volume");
}

// What "docker volume ls" asks for.
class VolumeFilter {
  public:
    static Result<VolumeFilter> create(const Filters& filters) {
        TRY(filters.allow_only({"dangling", "driver", "label", "name"}));
        return VolumeFilter(filters, TRY(filters.get_bool("dangling", false)));
    }

    bool matches(const VolumeInfo& info) const {
        const bool use_matches =
            !filters_.contains("dangling") || (info.reference_count == 0) == dangling_;
        return names_.match(info.name) && use_matches &&
               filters_.exact_match("driver", info.driver) &&
               filters_.match_labels("label", info.labels);
    }

  private:
    VolumeFilter(const Filters& filters, bool dangling)
        : filters_(filters)
        , names_(filters.get("name"))
        , dangling_(dangling) {}

    const Filters& filters_;
    NamePatterns names_;
    bool dangling_;
};

} // namespace

Volumes::Volumes(
    std::string directory, VolumeTable rows, Events& events, kernel::ServerQuestions questions)
    : directory_(std::move(directory))
    , rows_(rows)
    , events_(events)
    , questions_(std::move(questions))
    , plugins_(std::make_unique<VolumePlugins>()) {}

Volumes::~Volumes() = default;

bool Volumes::is_valid_name(std::string_view name) {
    return is_valid_container_name(name);
}

Result<std::unique_ptr<Volumes>> Volumes::open(
    const std::string& data_root,
    store::Database& database,
    Events& events,
    kernel::ServerQuestions questions) {
    VolumeTable rows = TRY(VolumeTable::open(database));
    auto volumes = std::unique_ptr<Volumes>(
        new Volumes(data_root + "/volumes", rows, events, std::move(questions)));
    TRY(make_directories(volumes->directory_, 0701));
    TRY(volumes->load());
    return volumes;
}

Result<void> Volumes::load() {
    for (VolumeRow& row : TRY(rows_.load())) {
        const std::string name = row.info.name;
        if (row.info.driver == "local" && !exists(directory_of(name))) {
            // Killed between the row and the directory's name: created whole, or not yet removed.
            for (const std::string& other : {making_directory(name), going_directory(name)}) {
                if (rename(other.c_str(), directory_of(name).c_str()) == 0) {
                    break;
                }
            }
        }
        table_.lock()->insert_or_assign(name, Entry{.row = std::move(row)});
    }
    sweep_directories();
    return ok();
}

// Directories of volumes that never came to be or that are gone.
void Volumes::sweep_directories() {
    const auto names = list_directory(directory_);
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        if (!name.starts_with('.')) {
            continue;
        }
        const std::string path = directory_ + "/" + name;
        Result<void> removed = unmount_wholly(path + "/_data");
        if (removed.ok()) {
            removed = store::remove_tree_of(path);
        }
        if (!removed.ok()) {
            log::warn(
                "leftover of a volume stays, ignoring",
                {{"path", path}, {"error", removed.error().message()}});
        }
    }
}

Result<LocalVolume> Volumes::local(const VolumeRow& row) const {
    return LocalVolume(
        directory_of(row.info.name), TRY(parse_local_options(row.info.options)), questions_);
}

VolumeInfo Volumes::info_of(const Entry& entry) const {
    VolumeInfo info = entry.row.info;
    info.reference_count = static_cast<std::int64_t>(entry.holders.size());
    if (info.driver == "local") {
        info.mountpoint = directory_of(info.name) + "/_data";
    }
    return info;
}

// Docker counts files alone: an empty volume has no size. What lies elsewhere is not counted.
std::int64_t Volumes::size_of(const VolumeInfo& info) const {
    if (info.driver != "local") {
        return -1;
    }
    const auto options = parse_local_options(info.options);
    if (!options.ok() || options->has_source()) {
        return options.ok() && options->type == "tmpfs"
                   ? static_cast<std::int64_t>(disk_size(info.mountpoint, CountDirectories::No))
                   : -1;
    }
    const LocalVolume volume(directory_of(info.name), *options);
    if (const auto image = volume.image_size()) {
        return *image;
    }
    return static_cast<std::int64_t>(disk_size(info.mountpoint, CountDirectories::No));
}

Result<VolumeList> Volumes::list(const Filters& filters, WithSize size) const {
    const VolumeFilter filter = TRY(VolumeFilter::create(filters));
    VolumeList result;
    {
        auto table = table_.lock();
        for (const auto& [name, entry] : *table) {
            VolumeInfo info = info_of(entry);
            if (!entry.is_new && filter.matches(info)) {
                result.volumes.push_back(std::move(info));
            }
        }
    }
    for (VolumeInfo& info : foreign(result.warnings)) {
        if (filter.matches(info)) {
            result.volumes.push_back(std::move(info));
        }
    }
    if (size == WithSize::Yes) {
        for (VolumeInfo& info : result.volumes) {
            info.size = size_of(info);
        }
    }
    return result;
}

bool Volumes::has_own_files(const std::string& name) const {
    auto table = table_.lock();
    const auto found = table->find(name);
    if (found == table->end()) {
        return false;
    }
    const VolumeInfo info = info_of(found->second);
    return info.driver == "local" && !info.options.contains("device");
}

Result<VolumeInfo> Volumes::inspect(const std::string& name) const {
    std::optional<VolumeInfo> info;
    {
        auto table = table_.lock();
        const auto found = table->find(name);
        if (found != table->end() && !found->second.is_new) {
            info = info_of(found->second);
        }
    }
    if (!info) {
        info = find_foreign(name);
    } else if (info->driver != "local") {
        // The plugin says where it is and how it is.
        auto told = plugins_->get(info->driver, name, VolumePlugins::Patience::None);
        if (told.ok() && *told) {
            info->mountpoint = (*told)->mountpoint;
            info->status = (*told)->status;
        }
    }
    if (!info) {
        return no_such_volume(name);
    }
    return *info;
}

std::vector<VolumeInfo> Volumes::foreign(std::vector<std::string>& warnings) const {
    std::vector<VolumeInfo> result;
    for (const std::string& driver : plugins_->names()) {
        auto there = plugins_->list(driver, VolumePlugins::Patience::None);
        if (!there.ok()) {
            if (there.error().kind() != ErrorKind::NotFound) {
                warnings.push_back("list " + driver + ": " + there.error().message());
            }
            continue;
        }
        for (PluginVolume& volume : *there) {
            if (table_.lock()->contains(volume.name)) {
                continue;
            }
            VolumeInfo info{.name = std::move(volume.name), .driver = driver};
            info.mountpoint = std::move(volume.mountpoint);
            info.created = parse_rfc3339(volume.created_at).value_or(Timestamp());
            info.scope = plugins_->scope(driver);
            result.push_back(std::move(info));
        }
    }
    return result;
}

std::optional<VolumeInfo> Volumes::find_foreign(const std::string& name) const {
    for (const std::string& driver : plugins_->names()) {
        auto told = plugins_->get(driver, name, VolumePlugins::Patience::None);
        if (told.ok() && *told) {
            VolumeInfo info{.name = name, .driver = driver};
            info.mountpoint = (*told)->mountpoint;
            info.created = parse_rfc3339((*told)->created_at).value_or(Timestamp());
            info.status = (*told)->status;
            info.scope = plugins_->scope(driver);
            return info;
        }
    }
    return std::nullopt;
}

Result<VolumePruneReport> Volumes::prune(const Filters& filters) {
    TRY(filters.allow_only({"all", "label", "label!"}));
    const bool all = TRY(filters.get_bool("all", false));
    VolumePruneReport report;
    std::vector<VolumeInfo> candidates;
    {
        auto table = table_.lock();
        for (const auto& [name, entry] : *table) {
            const VolumeInfo info = info_of(entry);
            const bool excluded =
                filters.contains("label!") && filters.match_labels("label!", info.labels);
            // As Docker: plugins' volumes are their plugins' business.
            if (info.driver == "local" && !entry.is_new && !excluded && (all || info.anonymous) &&
                entry.holders.empty() && entry.users.empty() &&
                filters.match_labels("label", info.labels)) {
                candidates.push_back(info);
            }
        }
    }
    for (const VolumeInfo& info : candidates) {
        const std::int64_t size = std::max<std::int64_t>(size_of(info), 0);
        if (auto removed = remove(info.name, false); !removed.ok()) {
            log::warn(
                "volume not pruned, ignoring",
                {{"volume", info.name}, {"error", removed.error().message()}});
            continue;
        }
        report.deleted.push_back(info.name);
        report.space_reclaimed += size;
    }
    events_.publish(Event{
        .type = "volume",
        .action = "prune",
        .actor_id = "",
        .attributes = {{"reclaimed", std::to_string(report.space_reclaimed)}},
        .time = {}});
    return report;
}

void Volumes::hold(const std::string& name, const std::string& container_id) {
    auto table = table_.lock();
    if (auto found = table->find(name); found != table->end()) {
        found->second.holders.insert(container_id);
    }
}

Result<VolumeInfo>
Volumes::hold_existing(const std::string& name, const std::string& container_id) {
    const Locked locked = TRY(lock(name));
    auto table = table_.lock();
    Entry& entry = table->at(name);
    entry.holders.insert(container_id);
    return info_of(entry);
}

void Volumes::release(const std::string& name, const std::string& container_id) {
    auto table = table_.lock();
    if (auto found = table->find(name); found != table->end()) {
        found->second.holders.erase(container_id);
    }
}

void Volumes::settle(const std::vector<std::string>& names) {
    std::vector<std::string> pending;
    {
        auto table = table_.lock();
        for (const std::string& name : names) {
            const auto found = table->find(name);
            if (found != table->end() && std::exchange(found->second.row.pending, false)) {
                pending.push_back(name);
            }
        }
    }
    if (pending.empty()) {
        return;
    }
    if (auto settled = rows_.settle(pending); !settled.ok()) {
        // The next start finds the container, which says the same.
        log::warn("volumes not settled, ignoring", {{"error", settled.error().message()}});
    }
}

std::vector<std::string> Volumes::drivers() const {
    std::vector<std::string> names = plugins_->names();
    names.emplace_back("local");
    std::ranges::sort(names);
    return names;
}

void Volumes::publish(const std::string& action, const VolumeInfo& info) {
    events_.publish(Event{
        .type = "volume",
        .action = action,
        .actor_id = info.name,
        .attributes = {{"driver", info.driver}},
        .time = {}});
}

} // namespace berth::engine
