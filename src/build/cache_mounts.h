// SPDX-License-Identifier: Apache-2.0
// The directories of RUN --mount=type=cache: below <data root>/build-cache, no part of any image,
// and gone only when the build cache is pruned.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "base/time.h"
#include "build/build_database.h"
#include "store/layer_store.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace berth::build {

struct CacheMount {
    MountRow row;
    std::uint64_t size = 0;
    bool in_use = false;
};

// Thread-safe. Outlives the uses that it gave.
class CacheMounts {
  public:
    // All references outlive the object.
    CacheMounts(store::LayerStore& layers, BuildDatabase database, std::string data_root)
        : layers_(layers)
        , database_(database)
        , root_(std::move(data_root)) {}

    struct Wanted {
        std::string id; // what RUN calls it
        std::string target;
        uid_t uid = 0;
        gid_t gid = 0;
        mode_t mode = 0755;
    };

    // As long as it lives, the directory is not pruned.
    class Use {
      public:
        Use(CacheMounts& mounts, std::string name)
            : mounts_(mounts)
            , name_(std::move(name)) {}

        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        ~Use();

        std::string path() const { return mounts_.path_of(name_); }

      private:
        CacheMounts& mounts_;
        std::string name_;
    };

    // Made where it is absent.
    Result<std::unique_ptr<Use>> use(const Wanted& wanted);
    Result<std::vector<CacheMount>> list();
    // False when a build uses it.
    Result<bool> remove(const std::string& name);

  private:
    std::string path_of(const std::string& name) const { return root_ + "/build-cache/" + name; }

    store::LayerStore& layers_;
    BuildDatabase database_;
    std::string root_;
    Synchronized<std::map<std::string, int>> users_; // held while a directory comes or goes
};

} // namespace berth::build
