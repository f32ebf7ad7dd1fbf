// SPDX-License-Identifier: Apache-2.0
// https://docs.docker.com/reference/dockerfile/#run---mounttypesecret and #run---mounttypessh
#include "build/step_secrets.h"

#include "base/boolean.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "kernel/mount.h"
#include "kernel/socket.h"

#include <linux/mount.h>

#include <algorithm>
#include <concepts>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::build {

namespace {

constexpr std::size_t lent_mount_limit = 64;
constexpr const char* tmpfs_size = "33554432"; // 64 of the largest secrets, and room

template <std::unsigned_integral T>
Result<T> parse_field(std::string_view name, std::string_view value, int base = 10) {
    const auto number = parse_number<T>(value, base);
    if (!number.ok()) {
        return invalid_argument(
            "invalid value " + std::string(value) + " for " + std::string(name));
    }
    return *number;
}

Result<bool> parse_flag(std::string_view name, std::string_view value) {
    const auto flag = parse_boolean(value);
    if (!flag) {
        return invalid_argument(
            "invalid value for " + std::string(name) + ": " + std::string(value));
    }
    return *flag;
}

struct LentFields {
    LentMount mount;
    std::string source;
};

Result<void> set_field(LentFields& fields, std::string_view name, std::string_view value) {
    LentMount& mount = fields.mount;
    if (name == "id") {
        mount.id = value;
    } else if (name == "source" || name == "src") {
        fields.source = value;
    } else if (name == "target" || name == "dst" || name == "destination") {
        mount.target = value;
    } else if (name == "env" && mount.kind == LentMount::Kind::Secret) {
        mount.environment = value;
    } else if (name == "required") {
        mount.is_required = TRY(parse_flag(name, value));
    } else if (name == "readonly" || name == "ro") {
        TRY(parse_flag(name, value)); // a secret is, an agent's socket cannot be
    } else if (name == "mode") {
        mount.mode = TRY(parse_field<mode_t>(name, value, 8)) & 07777U;
    } else if (name == "uid") {
        mount.uid = TRY(parse_field<uid_t>(name, value));
    } else if (name == "gid") {
        mount.gid = TRY(parse_field<gid_t>(name, value));
    } else if (name != "type") {
        const std::string key(name);
        return invalid_argument(
            "unexpected key '" + key + "' in '" + key + "=" + std::string(value) + "'");
    }
    return ok();
}

Result<LentFields> parse_fields(std::string_view text) {
    LentFields fields;
    const std::vector<std::string_view> parts = split(text, ',');
    // Defaults first: the type may stand behind what overrides them.
    if (std::ranges::find(parts, "type=ssh") != parts.end()) {
        fields.mount.kind = LentMount::Kind::Agent;
        fields.mount.mode = 0600;
    }
    for (const std::string_view part : parts) {
        if (const auto pair = cut(part, "=")) {
            TRY(set_field(fields, pair->before, pair->after));
        } else if (part == "required" || part == "readonly" || part == "ro") {
            TRY(set_field(fields, part, "true"));
        } else {
            return invalid_argument(
                "invalid field '" + std::string(part) + "' must be a key=value pair");
        }
    }
    return fields;
}

// Go's path.Base, but for what has no last part.
std::string last_part(std::string_view path) {
    while (path.ends_with('/')) {
        path.remove_suffix(1);
    }
    const auto last = cut_last(path, "/");
    return std::string(last ? last->after : path);
}

Result<void> complete_secret(LentMount& mount, const std::string& source) {
    if (!source.empty() && !mount.id.empty()) {
        return invalid_argument("both source and id can't be set");
    }
    if (mount.id.empty()) {
        mount.id = source.empty() ? last_part(mount.target) : source;
    }
    if (mount.id.empty()) {
        return invalid_argument("invalid secret mount. one of source, target required");
    }
    if (mount.target.empty() && mount.environment.empty()) {
        mount.target = "/run/secrets/" + last_part(mount.id);
    }
    return ok();
}

} // namespace

// parseMount in BuildKit's frontend/dockerfile/instructions/commands_runmount.go, dispatchSecret
// and dispatchSSH in its frontend/dockerfile/dockerfile2llb.
Result<LentMount> parse_lent_mount(std::string_view text, std::size_t number) {
    LentFields fields = TRY(parse_fields(text));
    LentMount& mount = fields.mount;
    if (mount.kind == LentMount::Kind::Secret) {
        TRY(complete_secret(mount, fields.source));
        return std::move(mount);
    }
    if (!fields.source.empty()) {
        return invalid_argument("ssh does not support source");
    }
    if (mount.id.empty()) {
        mount.id = "default";
    }
    if (mount.target.empty()) {
        mount.target = "/run/buildkit/ssh_agent." + std::to_string(number);
    }
    return std::move(mount);
}

Result<std::unique_ptr<StepSecrets>> StepSecrets::create(
    const std::stop_token& stop,
    const std::vector<LentMount>& wanted,
    ClientServices* client,
    std::string directory) {
    if (wanted.size() > lent_mount_limit) {
        return invalid_argument(
            "a RUN step has more than " + std::to_string(lent_mount_limit) +
            " mounts of secrets and agents");
    }
    if (client == nullptr) {
        return invalid_argument(
            "RUN --mount=type=secret and type=ssh need a client that builds with BuildKit "
            "(DOCKER_BUILDKIT=1)");
    }
    auto secrets = std::make_unique<StepSecrets>(Private(), std::move(directory));
    TRY(secrets->mount_tmpfs());
    for (const LentMount& mount : wanted) {
        TRY(mount.kind == LentMount::Kind::Secret ? secrets->add_secret(stop, mount, *client)
                                                  : secrets->add_agent(stop, mount, *client));
    }
    return secrets;
}

Result<void> StepSecrets::mount_tmpfs() {
    TRY(make_directories(directory_, 0700));
    const UniqueFd mount = TRY(kernel::make_mount(
        "tmpfs",
        "tmpfs",
        {{.key = "mode", .value = "0700"},
         {.key = "size", .value = tmpfs_size},
         {.key = "noswap", .value = "", .if_known = true}},
        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
    TRY(kernel::attach_mount(mount, directory_));
    return make_directories(private_directory(), 0700);
}

StepSecrets::~StepSecrets() {
    agents_.clear();
    remove_leftovers(directory_);
}

void StepSecrets::remove_leftovers(const std::string& directory) {
    if (auto unmounted = kernel::unmount_lazily(directory); !unmounted.ok()) {
        log::warn(
            "build step's secrets not unmounted, ignoring",
            {{"path", directory}, {"error", unmounted.error().message()}});
    }
    ::rmdir(directory.c_str());
}

Result<void> StepSecrets::add_secret(
    const std::stop_token& stop, const LentMount& wanted, ClientServices& client) {
    auto content = TRY_CONTEXT(client.secret(stop, wanted.id), "secret " + wanted.id);
    if (!content) {
        return wanted.is_required ? Result<void>(not_found("secret " + wanted.id + ": not found"))
                                  : ok();
    }
    if (content->size() > secret_limit) {
        return invalid_argument(
            "secret " + wanted.id + " is larger than " + std::to_string(secret_limit) + " bytes");
    }
    if (!wanted.environment.empty()) {
        if (content->find('\0') != std::string::npos) {
            return invalid_argument("secret " + wanted.id + " cannot be a variable: it has a NUL");
        }
        if (to_utf8(*content) != *content) { // as the runtime's configuration is
            return invalid_argument(
                "secret " + wanted.id + " cannot be a variable: it is no UTF-8 text");
        }
        environment_.push_back(wanted.environment + "=" + *content);
    }
    if (wanted.target.empty()) {
        return ok();
    }
    const std::string path = directory_ + "/" + std::to_string(mounts_.size());
    const UniqueFd file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, wanted.mode & 0600U));
    if (!file) {
        return errno_error("making a secret's file");
    }
    TRY(write_all(file, *content));
    if (::fchown(file.get(), wanted.uid, wanted.gid) != 0 ||
        ::fchmod(file.get(), wanted.mode) != 0) {
        return errno_error("the owner and mode of a secret's file");
    }
    mounts_.push_back(
        {.destination = wanted.target,
         .type = "bind",
         .source = path,
         .options = {"rbind", "rprivate", "ro", "nosuid", "nodev", "noexec"}});
    return ok();
}

Result<void> StepSecrets::add_agent(
    const std::stop_token& stop, const LentMount& wanted, ClientServices& client) {
    const std::string path = directory_ + "/" + std::to_string(mounts_.size());
    UniqueFd listener = TRY(kernel::listen_unix(path, wanted.mode));
    if (::chown(path.c_str(), wanted.uid, wanted.gid) != 0) {
        return errno_error("the owner of an agent's socket");
    }
    auto forward = TRY_CONTEXT(
        client.forward_agent(stop, wanted.id, std::move(listener)), "ssh agent " + wanted.id);
    if (!forward) {
        ::unlink(path.c_str());
        return wanted.is_required
                   ? Result<void>(not_found("ssh agent " + wanted.id + ": not found"))
                   : ok();
    }
    agents_.push_back(std::move(forward));
    mounts_.push_back(
        {.destination = wanted.target,
         .type = "bind",
         .source = path,
         .options = {"rbind", "rprivate", "nosuid", "nodev", "noexec"}});
    if (agents_.size() == 1) {
        environment_.push_back("SSH_AUTH_SOCK=" + wanted.target);
    }
    return ok();
}

} // namespace berth::build
