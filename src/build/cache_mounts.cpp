// SPDX-License-Identifier: Apache-2.0
// A directory comes and goes under the lock of its users' count, so that none vanishes between a
// step's question and its mount.
#include "build/cache_mounts.h"

#include "base/disk_size.h"
#include "base/file.h"
#include "codec/sha256.h"

#include <sys/stat.h>
#include <unistd.h>

namespace berth::build {

CacheMounts::Use::~Use() {
    auto users = mounts_.users_.lock();
    if (auto found = users->find(name_); --found->second == 0) {
        users->erase(found);
    }
}

Result<std::unique_ptr<CacheMounts::Use>> CacheMounts::use(const Wanted& wanted) {
    const std::string name = sha256_hex(wanted.id);
    const std::string path = path_of(name);
    {
        auto users = users_.lock();
        TRY(make_directories(root_ + "/build-cache", 0700));
        if (!exists(path)) {
            TRY(make_directories(path, 0755));
            if (::chown(path.c_str(), wanted.uid, wanted.gid) != 0 ||
                ::chmod(path.c_str(), wanted.mode) != 0) {
                return errno_error("set owner and mode of " + path);
            }
        }
        ++(*users)[name];
    }
    auto use = std::make_unique<Use>(*this, name);
    std::string description = "cached mount " + wanted.target;
    if (wanted.id != wanted.target) {
        description += " with id \"" + wanted.id + "\"";
    }
    TRY(database_.use_mount(name, description));
    return use;
}

Result<std::vector<CacheMount>> CacheMounts::list() {
    std::vector<CacheMount> mounts;
    if (!exists(root_ + "/build-cache")) {
        return mounts;
    }
    std::map<std::string, MountRow> rows;
    for (MountRow& row : TRY(database_.list_mounts())) {
        std::string name = row.name;
        rows.emplace(std::move(name), std::move(row));
    }
    for (const std::string& name : TRY(list_directory(root_ + "/build-cache"))) {
        CacheMount mount;
        if (auto found = rows.find(name); found != rows.end()) {
            mount.row = std::move(found->second);
        } else { // of an engine that kept no rows

            struct stat status {};

            if (::lstat(path_of(name).c_str(), &status) != 0) {
                continue;
            }
            const Timestamp changed = Timestamp::from_seconds(status.st_mtim.tv_sec);
            mount.row = {
                .name = name, .description = "cached mount", .created = changed, .used = changed};
        }
        mount.size = disk_size(path_of(name), CountDirectories::Yes);
        mount.in_use = users_.lock()->contains(name);
        mounts.push_back(std::move(mount));
    }
    return mounts;
}

Result<bool> CacheMounts::remove(const std::string& name) {
    {
        auto users = users_.lock();
        if (users->contains(name)) {
            return false;
        }
        TRY(layers_.discard_stray("build-cache/" + name));
    }
    TRY(database_.remove_mount(name));
    return true;
}

} // namespace berth::build
