// SPDX-License-Identifier: Apache-2.0
// RUN --mount=type=secret and type=ssh: what a client lends to one step. Secrets are files on a
// tmpfs of the step's own, which is gone with it; nothing of them is on disk, in a layer, in a
// cache's key or in a log.
#pragma once

#include "base/result.h"
#include "build/client_services.h"
#include "oci/runtime_config.h"

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace berth::build {

struct LentMount {
    enum class Kind : bool { Secret, Agent };
    Kind kind = Kind::Secret;
    std::string id;
    std::string target;      // "": a secret that is a variable only
    std::string environment; // the variable's name; "": none
    mode_t mode = 0400;
    uid_t uid = 0;
    gid_t gid = 0;
    bool is_required = false;
};

// The options of one --mount; defaults as BuildKit's dispatchSecret and dispatchSSH have them.
// `number` counts the step's agents so far.
Result<LentMount> parse_lent_mount(std::string_view text, std::size_t number);

class StepSecrets {
    // Lets only create() use the public constructor that make_unique needs.
    struct Private {};

  public:
    StepSecrets(Private, std::string directory)
        : directory_(std::move(directory)) {}

    // Asks the client for all of them. `directory` is made for it, and goes with the object.
    static Result<std::unique_ptr<StepSecrets>> create(
        const std::stop_token& stop,
        const std::vector<LentMount>& wanted,
        ClientServices* client,
        std::string directory);
    StepSecrets(const StepSecrets&) = delete;
    StepSecrets& operator=(const StepSecrets&) = delete;
    ~StepSecrets();

    const std::vector<oci::Mount>& mounts() const { return mounts_; }

    const std::vector<std::string>& environment() const { return environment_; }

    // In the tmpfs: for what must not lie on a disk either.
    std::string private_directory() const { return directory_ + "/private"; }

    // What a killed engine left there.
    static void remove_leftovers(const std::string& directory);

  private:
    Result<void> mount_tmpfs();
    Result<void> add_secret(const std::stop_token& stop, const LentMount& wanted, ClientServices&);
    Result<void> add_agent(const std::stop_token& stop, const LentMount& wanted, ClientServices&);

    std::string directory_;
    std::vector<oci::Mount> mounts_;
    std::vector<std::string> environment_;
    std::vector<std::unique_ptr<AgentForward>> agents_;
};

} // namespace berth::build
