// SPDX-License-Identifier: Apache-2.0
// SELinux labels of containers: of their processes, and of the files that they may use. Which
// types those are the host's policy says; two categories of a container's own keep it from the
// files of all others.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "engine/container_config.h"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

// "system_u:system_r:container_t:s0:c1,c2"; a policy without levels has three parts.
struct SelinuxContext {
    std::string user;
    std::string role;
    std::string type;
    std::string level;

    static Result<SelinuxContext> parse(std::string_view text);
    std::string text() const;

    bool operator==(const SelinuxContext&) const = default;
};

// What the policy has for containers.
struct SelinuxPolicy {
    SelinuxContext process;
    SelinuxContext file;
};

// Of the policy's lxc_contexts: lines such as process = "system_u:system_r:container_t:s0".
Result<SelinuxPolicy> parse_selinux_policy(std::string_view text);

struct SelinuxLabels {
    std::string process; // "": none, the container's programs keep the engine's
    std::string mount;
};

// The values of label=… among the security options.
std::vector<std::string> label_options(const std::vector<std::string>& security_options);

// As options, for a container that shares namespaces with the one that has this label.
std::vector<std::string> shared_label_options(const std::string& process_label);

// A file label that every container may use, or one container's own: what :z and :Z ask for.
std::string shared_file_label(const std::string& mount_label);

// The kernel has it, and a policy is loaded.
bool has_selinux();

// Thread-safe.
class SelinuxLabeler {
  public:
    // `wanted`: --selinux-enabled. Where the kernel has none, a warning is logged and containers
    // have no labels, as with Docker.
    static Result<std::unique_ptr<SelinuxLabeler>> open(bool wanted);

    // Off.
    SelinuxLabeler() = default;

    explicit SelinuxLabeler(SelinuxPolicy policy)
        : policy_(std::move(policy)) {}

    bool is_enabled() const { return policy_.has_value(); }

    // Of files for all containers; "" while it is off.
    std::string shared() const { return policy_ ? shared_file_label(policy_->file.text()) : ""; }

    // Reserves the level. InvalidArgument for options that are none; none are looked at while it is
    // off.
    Result<SelinuxLabels> make(const std::vector<std::string>& options);
    void reserve(const std::string& label);
    void release(const std::string& label);

  private:
    Result<std::string> unused_level();

    std::optional<SelinuxPolicy> policy_;
    Synchronized<std::multiset<std::string>> levels_;
};

} // namespace berth::engine
