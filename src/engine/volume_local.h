// SPDX-License-Identifier: Apache-2.0
// The local volume driver: what its options mean, and a volume's directory:
//   <volumes>/<name>/_data     what containers see
//   <volumes>/<name>/disk.img  the file system mounted there, of a volume with a size where the
//                              disk has no project quotas
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "engine/container_config.h"
#include "kernel/server_question.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include <sys/types.h>

namespace berth::engine {

// InvalidArgument in Docker's words: "create x: …".
Result<void> check_volume_name(const std::string& name);

// docker volume create -o type=… -o device=… -o o=… -o size=…
struct LocalOptions {
    std::string type;
    std::string device;
    std::string options;
    std::uint64_t size = 0; // bytes; 0: no limit
    // Of "o" alone (Podman's form): the owner of the volume's root.
    std::optional<uid_t> uid;
    std::optional<gid_t> gid;

    bool has_source() const { return !type.empty() || !device.empty(); }
};

// InvalidArgument in Docker's words.
Result<LocalOptions> parse_local_options(const StringMap& options);

// A host's name to an address as text; for tests.
using ResolveHost = std::function<Result<std::string>(const std::string& host)>;

// Device and "o" as the kernel wants them: nfs and cifs know addresses only.
struct MountArguments {
    std::string device;
    std::string options;
};

Result<MountArguments>
mount_arguments(const LocalOptions& options, const ResolveHost& resolve_host);

// Takes away all that is mounted at the path, once or more often; nothing to do where it is not
// there.
Result<void> unmount_wholly(const std::string& path);

// The directory of one volume. Calls for the same directory are made one at a time.
class LocalVolume {
  public:
    LocalVolume(std::string directory, LocalOptions options, kernel::ServerQuestions questions = {})
        : directory_(std::move(directory))
        , options_(std::move(options))
        , questions_(std::move(questions)) {}

    std::string data() const { return directory_ + "/_data"; }

    // The content is that of a device, a share or a directory of the host.
    bool is_elsewhere() const { return options_.has_source(); }

    // Everything below `directory`, with its size limit. `project` is a free project quota id.
    Result<void> make(std::uint32_t project) const;

    // Whether containers see a mount and not the directory itself.
    bool needs_mount() const;
    Result<bool> is_mounted() const;
    // Nothing to do where it is mounted, or where needs_mount() is false. `share` is reach()'s.
    Result<void> mount(const UniqueFd& share = {}) const;
    // Whether its content is at a server, which may not answer.
    bool is_share() const;
    // REQUIRES: is_share(). All that a mount() waits for the server: a detached mount for it, or
    // nothing where the share is mounted, and the server answers. Ends when the server's time is
    // over or with the stop.
    Result<UniqueFd> reach(const std::stop_token& stop) const;
    Result<void> unmount() const;
    // Calls `write` with data(): no more is written than the limit allows, by root neither.
    Result<void>
    write_within_limit(const std::function<Result<void>(const std::string& data)>& write) const;

    // Before its files are removed: gives the project's limit back.
    void forget_limit() const;
    // Bytes on the disk of a loop file; nullopt for a directory.
    std::optional<std::int64_t> image_size() const;

  private:
    std::string image() const { return directory_ + "/disk.img"; }

    Result<void> make_image() const;
    Result<void> mount_image() const;
    Result<void> mount_source(const UniqueFd& share) const;
    Result<UniqueFd> open_source(const std::stop_token& stop) const;
    Result<void> unmount_share() const;

    std::string directory_;
    LocalOptions options_;
    kernel::ServerQuestions questions_;
};

// The highest project id of the volumes below, or the first id that volumes have less one.
std::uint32_t highest_project(const std::string& volumes_directory);

} // namespace berth::engine
