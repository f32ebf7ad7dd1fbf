// SPDX-License-Identifier: Apache-2.0
// The local volume driver. A volume's row is committed before its directory is shown to anybody;
// removal deletes the row first and the files behind, from a renamed directory.
#include "engine/volumes.h"

#include "base/disk_size.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "codec/json.h"
#include "engine/events.h"
#include "engine/names.h"
#include "store/database.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::engine {
namespace {

constexpr std::string_view migrations[] = {
    "CREATE TABLE engine_volumes (name TEXT PRIMARY KEY, created INTEGER NOT NULL,"
    " labels TEXT NOT NULL, options TEXT NOT NULL, anonymous INTEGER NOT NULL)"};

// Docker marks volumes that nobody named with this label.
constexpr const char* anonymous_label = "com.docker.volume.anonymous";

// Docker counts files alone: an empty volume has no size.
std::int64_t size_of(const VolumeInfo& info) {
    return static_cast<std::int64_t>(disk_size(info.mountpoint, CountDirectories::No));
}

Error no_such_volume(const std::string& name) {
    return not_found("get " + name + ": no such volume");
}

Event volume_event(const std::string& action, const VolumeInfo& info) {
    return Event{
        .type = "volume",
        .action = action,
        .actor_id = info.name,
        .attributes = {{"driver", info.driver}},
        .time = {}};
}

} // namespace

Volumes::Volumes(std::string directory, store::Database& database, Events& events)
    : directory_(std::move(directory))
    , database_(database)
    , events_(events) {}

Volumes::~Volumes() = default;

bool Volumes::is_valid_name(std::string_view name) {
    return is_valid_container_name(name);
}

Result<std::unique_ptr<Volumes>>
Volumes::open(const std::string& data_root, store::Database& database, Events& events) {
    TRY(database.migrate("engine_volumes", migrations));
    auto volumes = std::unique_ptr<Volumes>(new Volumes(data_root + "/volumes", database, events));
    TRY(make_directories(volumes->directory_, 0701));
    TRY(volumes->load());
    return volumes;
}

Result<void> Volumes::load() {
    auto session = database_.session();
    auto statement = TRY(
        session.prepare("SELECT name, created, labels, options, anonymous FROM engine_volumes"));
    auto table = table_.lock();
    while (TRY(statement.step())) {
        Entry entry;
        entry.info.name = statement.text_copy(0);
        entry.info.created.nanoseconds = statement.number(1);
        entry.info.labels = TRY(json::decode_text<StringMap>(statement.text(2)));
        entry.info.options = TRY(json::decode_text<StringMap>(statement.text(3)));
        entry.info.anonymous = statement.number(4) != 0;
        entry.info.mountpoint = directory_ + "/" + entry.info.name + "/_data";
        std::string name = entry.info.name;
        table->insert_or_assign(std::move(name), std::move(entry));
    }
    return ok();
}

Result<VolumeInfo> Volumes::create(const VolumeCreate& request) {
    if (!request.driver.empty() && request.driver != "local") {
        return not_found(
            "error looking up volume plugin " + request.driver + ": plugin \"" + request.driver +
            "\" not found");
    }
    if (!request.options.empty()) {
        return not_implemented(
            "options of the local volume driver (type, device, o) are not implemented");
    }
    VolumeInfo info;
    info.anonymous = request.name.empty();
    info.name = info.anonymous ? random_hex(32) : request.name;
    if (!is_valid_name(info.name)) {
        return invalid_argument(
            "create " + info.name + ": \"" + info.name +
            "\" includes invalid characters for a local volume name, only "
            "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, "
            "use absolute path");
    }
    info.labels = request.labels;
    if (info.anonymous) {
        info.labels.emplace(anonymous_label, "");
    }
    info.created = Timestamp::now();
    info.mountpoint = directory_ + "/" + info.name + "/_data";
    {
        auto table = table_.lock();
        auto [entry, is_new] = table->emplace(info.name, Entry{.info = info, .holders = {}});
        if (!is_new) {
            return entry->second.info;
        }
    }
    const auto forget = [&] { table_.lock()->erase(info.name); };
    auto made = make_directories(info.mountpoint, 0755);
    if (made.ok()) {
        made = [&]() -> Result<void> {
            auto transaction = TRY(database_.begin(store::Durability::Durable));
            auto statement = TRY(transaction->prepare(
                "INSERT INTO engine_volumes (name, created, labels, options, anonymous)"
                " VALUES (?, ?, ?, ?, ?)"));
            TRY(statement.bind(1, info.name)
                    .bind(2, info.created.nanoseconds)
                    .bind(3, json::encode_text(info.labels))
                    .bind(4, json::encode_text(info.options))
                    .bind(5, std::int64_t{info.anonymous})
                    .run());
            return transaction.commit();
        }();
    }
    if (!made.ok()) {
        forget();
        return std::move(made).error().with_context("create " + info.name);
    }
    events_.publish(volume_event("create", info));
    return info;
}

Result<std::vector<VolumeInfo>> Volumes::list(const Filters& filters, WithSize size) const {
    TRY(filters.allow_only({"dangling", "driver", "label", "name"}));
    const bool dangling = TRY(filters.get_bool("dangling", false));
    std::vector<VolumeInfo> result;
    {
        auto table = table_.lock();
        for (const auto& [name, entry] : *table) {
            const bool name_matches =
                !filters.contains("name") ||
                std::ranges::any_of(filters.get("name"), [&text = name](const std::string& part) {
                    return text.find(part) != std::string::npos;
                });
            const bool use_matches =
                !filters.contains("dangling") || entry.holders.empty() == dangling;
            if (name_matches && use_matches && filters.exact_match("driver", entry.info.driver) &&
                filters.match_labels("label", entry.info.labels)) {
                result.push_back(entry.info);
                result.back().reference_count = static_cast<std::int64_t>(entry.holders.size());
            }
        }
    }
    if (size == WithSize::Yes) {
        for (VolumeInfo& info : result) {
            info.size = size_of(info);
        }
    }
    return result;
}

Result<VolumeInfo> Volumes::inspect(const std::string& name) const {
    auto table = table_.lock();
    auto found = table->find(name);
    if (found == table->end()) {
        return no_such_volume(name);
    }
    VolumeInfo info = found->second.info;
    info.reference_count = static_cast<std::int64_t>(found->second.holders.size());
    return info;
}

Result<void> Volumes::remove(const std::string& name, bool force) {
    VolumeInfo info;
    {
        auto table = table_.lock();
        auto found = table->find(name);
        if (found == table->end()) {
            return force ? ok() : Result<void>(no_such_volume(name));
        }
        if (!found->second.holders.empty()) {
            const std::vector<std::string> holders(
                found->second.holders.begin(), found->second.holders.end());
            return conflict(
                "remove " + name + ": volume is in use - [" + join(holders, ", ") + "]");
        }
        info = found->second.info;
        table->erase(found);
    }
    auto transaction = TRY(database_.begin(store::Durability::Durable));
    auto statement = TRY(transaction->prepare("DELETE FROM engine_volumes WHERE name = ?"));
    TRY(statement.bind(1, name).run());
    TRY(transaction.commit());
    TRY(remove_tree(directory_ + "/" + name));
    events_.publish(volume_event("destroy", info));
    return ok();
}

Result<VolumePruneReport> Volumes::prune(const Filters& filters) {
    TRY(filters.allow_only({"all", "label", "label!"}));
    const bool all = TRY(filters.get_bool("all", false));
    VolumePruneReport report;
    for (const VolumeInfo& info : TRY(list(Filters()))) {
        const bool excluded =
            filters.contains("label!") && filters.match_labels("label!", info.labels);
        const auto current = inspect(info.name);
        if (excluded || (!all && !info.anonymous) || !current.ok() ||
            current->reference_count != 0 || !filters.match_labels("label", info.labels)) {
            continue;
        }
        const std::int64_t size = size_of(info);
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

void Volumes::release(const std::string& name, const std::string& container_id) {
    auto table = table_.lock();
    if (auto found = table->find(name); found != table->end()) {
        found->second.holders.erase(container_id);
    }
}

} // namespace berth::engine
