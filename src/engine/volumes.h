// SPDX-License-Identifier: Apache-2.0
// Volumes: named and anonymous ones of the local driver (volume_local.h) and those of plugins
// (volume_plugins.h). Thread-safe, blocking: what is done to one volume is done one at a time.
#pragma once

#include "base/result.h"
#include "base/rollback.h"
#include "base/synchronized.h"
#include "base/time.h"
#include "codec/stream.h"
#include "engine/container_config.h"
#include "engine/filters.h"
#include "engine/volume_table.h"
#include "kernel/server_question.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::store {
class Database;
}

namespace berth::engine {

class Events;
class LocalVolume;

// Docker marks volumes that nobody named with this label.
inline constexpr const char* anonymous_label = "com.docker.volume.anonymous";

class VolumePlugins;

struct VolumeCreate {
    std::string name; // empty: a random 64-digit name, anonymous
    std::string driver;
    StringMap options;
    StringMap labels;
    // The container that it is made for, which holds it from birth: see hold(). A new anonymous
    // volume goes with the next start of the engine unless settle() says that the container is
    // there to stay.
    std::string holder;
};

struct VolumeList {
    std::vector<VolumeInfo> volumes;
    std::vector<std::string> warnings; // of plugins that do not answer
};

struct VolumePruneReport {
    std::vector<std::string> deleted;
    std::int64_t space_reclaimed = 0;
};

enum class WithSize : bool { No, Yes };

class Volumes {
  public:
    static Result<std::unique_ptr<Volumes>> open(
        const std::string& data_root,
        store::Database& database,
        Events& events,
        kernel::ServerQuestions questions = {});
    ~Volumes();

    // An existing volume of that name is returned as it is; Conflict when another driver has it.
    Result<VolumeInfo> create(const VolumeCreate& request);

    // Filters: dangling, driver, label, name.
    Result<VolumeList> list(const Filters& filters, WithSize size = WithSize::No) const;

    // NotFound "get x: no such volume".
    Result<VolumeInfo> inspect(const std::string& name) const;
    // In the data root: neither a plugin's nor what is mounted from elsewhere.
    bool has_own_files(const std::string& name) const;

    // Conflict "remove x: volume is in use - [container ids]".
    Result<void> remove(const std::string& name, bool force);

    // Anonymous ones unless filter all=true. Filters: all, label, label!.
    Result<VolumePruneReport> prune(const Filters& filters);

    // For containers: who holds which volume. A held volume is not removed.
    void hold(const std::string& name, const std::string& container_id);
    // The same after whoever removes it: NotFound where it is gone.
    Result<VolumeInfo> hold_existing(const std::string& name, const std::string& container_id);
    void release(const std::string& name, const std::string& container_id);
    // The containers of these volumes are in the database.
    void settle(const std::vector<std::string>& names);

    // While it is used by `user` (a container's id): the directory, with all that its options say
    // mounted on it. Each mount() wants its unmount(); the last one takes the mount away. What has
    // to be waited for a share's server holds nobody else up, and ends with the stop.
    Result<std::string>
    mount(const std::string& name, const std::string& user, const std::stop_token& stop = {});
    void unmount(const std::string& name, const std::string& user);
    // As many as there are of this user's.
    void unmount_all(const std::string& name, const std::string& user);
    // mount() by an engine that is no more.
    void adopt(const std::string& name, const std::string& user);
    // Once all holders and users of the last run are known: takes away what nobody claims.
    void sweep();

    // Calls `fill` with the directory where it is empty. A fill that ends half done, by an error or
    // a killed engine, leaves it empty where nobody else can have put anything there.
    using Fill = std::function<Result<void>(const std::string& directory)>;
    Result<void> fill(const std::string& name, const std::string& user, const Fill& fill);

    // ---- volume_archive.cpp ----

    // Keeps the containers that use a volume from writing for as long as the result lives, or says
    // why not. Called before the volume is locked.
    using KeepQuiet =
        std::function<Result<std::shared_ptr<void>>(const std::set<std::string>& users)>;

    // What is in it as a tar, as it was at one moment.
    Result<void> export_files(
        std::stop_token stop, const std::string& name, const KeepQuiet& quiet, ByteSink& sink);
    // A new volume from a tar: it is there whole or not at all. Conflict when the name is taken.
    Result<VolumeInfo> import_files(const VolumeCreate& request, ByteSource& tar);
    // A new volume with what `source` has at one moment.
    Result<VolumeInfo>
    clone(const std::string& source, const VolumeCreate& request, const KeepQuiet& quiet);

    // A valid name per Docker: [a-zA-Z0-9][a-zA-Z0-9_.-]*, two characters at least.
    static bool is_valid_name(std::string_view name);

    // Names of the volume drivers that there are, for /info.
    std::vector<std::string> drivers() const;

  private:
    struct Entry {
        VolumeRow row;
        std::set<std::string> holders;
        std::multiset<std::string> users; // as often as they have mounted it
        // Held for what is done to the volume, across blocking calls; taken before the table's.
        std::shared_ptr<std::mutex> operation = std::make_shared<std::mutex>();
        bool is_new = false; // not yet in the database: nobody but its maker sees it
    };

    using Table = std::map<std::string, Entry>;

    // Exclusive use of one volume; the row is as it was when the lock was taken.
    struct Locked {
        std::shared_ptr<std::mutex> operation;
        std::unique_lock<std::mutex> lock;
        VolumeRow row;
        std::set<std::string> holders;
        std::multiset<std::string> users;
        UniqueFd share{}; // of lock_reached()
    };

    Volumes(
        std::string directory, VolumeTable rows, Events& events, kernel::ServerQuestions questions);
    Result<void> load();
    Result<Locked> lock(const std::string& name) const;
    // For mount_locked(): a share's server has done its part before the volume is locked.
    Result<Locked> lock_reached(const std::string& name, const std::stop_token& stop) const;

    std::string directory_of(const std::string& name) const { return directory_ + "/" + name; }

    // Of one that is being made, and of one that is being removed.
    std::string making_directory(const std::string& name) const;
    std::string going_directory(const std::string& name) const;
    Result<LocalVolume> local(const VolumeRow& row) const;
    std::int64_t size_of(const VolumeInfo& info) const;
    VolumeInfo info_of(const Entry& entry) const;

    // Puts the first content into a new volume's directory.
    using Contents = std::function<Result<void>(const std::string& data)>;
    // nullopt: there is one of that name already.
    Result<std::optional<VolumeInfo>>
    make(VolumeRow row, const std::string& holder, const Contents& contents);
    Result<void> make_files(VolumeRow& row, const Contents& contents);
    Result<void> make_local(const VolumeRow& row, const Contents& contents);
    // make(), but Conflict where there is one.
    Result<VolumeInfo>
    make_whole(const VolumeCreate& request, const std::string& verb, const Contents& contents);

    // A volume that is read as a whole; given back before anybody else gets its lock.
    struct Reading {
        std::shared_ptr<void> quiet;
        Locked locked;
        std::string user;
        Rollback give_back;
    };

    Result<std::string>
    open_for_reading(const std::string& name, const KeepQuiet& quiet, Reading& reading);
    Result<VolumeRow> row_of(const VolumeCreate& request) const;
    Result<VolumeInfo> take_existing(const VolumeCreate& request);
    enum class Uses : bool { One, All };
    void give_back(const std::string& name, const std::string& user, Uses uses);
    void give_back_locked(const VolumeRow& row, const std::string& user, Uses uses);
    void unmount_local(const VolumeRow& row);
    Result<std::string> mount_locked(const Locked& locked, const std::string& user);
    Result<void> remove_locked(const VolumeRow& row, bool force);
    Result<void> remove_local(const VolumeRow& row);
    Result<void> set_filling(const std::string& name, bool filling);
    // A volume that a plugin has without our doing.
    std::optional<VolumeInfo> find_foreign(const std::string& name) const;
    std::vector<VolumeInfo> foreign(std::vector<std::string>& warnings) const;
    void publish(const std::string& action, const VolumeInfo& info);
    void sweep_directories();

    std::string directory_;
    VolumeTable rows_;
    Events& events_;
    kernel::ServerQuestions questions_;
    std::unique_ptr<VolumePlugins> plugins_;
    std::mutex quota_; // one new project id at a time
    mutable Synchronized<Table> table_;
};

} // namespace berth::engine
