// SPDX-License-Identifier: Apache-2.0
// Maps may be written once, and newuidmap must run outside of the namespace that it maps. So a
// child that stays outside does it while we, inside, wait.
#include "kernel/id_mapping.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/namespace.h"
#include "kernel/process.h"
#include "kernel/socket.h"

#include <array>
#include <cerrno>

#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

constexpr std::string_view mapped = "mapped";

struct MapFile {
    std::string_view file;
    std::string_view program;
    std::string_view database;
};

constexpr MapFile uid_map_file{"uid_map", "newuidmap", "/etc/subuid"};
constexpr MapFile gid_map_file{"gid_map", "newgidmap", "/etc/subgid"};

Result<void> run_map_program(pid_t pid, const MapFile& map, const std::vector<IdRange>& ranges) {
    SpawnOptions options;
    options.arguments = {std::string(map.program), std::to_string(pid)};
    for (const IdRange& range : ranges) {
        for (std::uint32_t number : {range.inside, range.outside, range.size}) {
            options.arguments.push_back(std::to_string(number));
        }
    }
    UniqueFd words(::memfd_create("words", MFD_CLOEXEC));
    if (!words) {
        return errno_error("memfd_create");
    }
    options.fds = {{words.get(), STDERR_FILENO}};
    Result<Child> child = spawn(options);
    if (!child.ok()) {
        return Error(
            ErrorKind::Unavailable,
            "more than one id can only be mapped by " + std::string(map.program) +
                " (package uidmap): " + child.error().message());
    }
    ExitStatus status = TRY(child->wait());
    if (status.shell_code() == 0) {
        return ok();
    }
    constexpr std::size_t limit = 4096;
    ::lseek(words.get(), 0, SEEK_SET);
    std::string said = read_all(words, limit).value_or("");
    return Error(
        ErrorKind::Forbidden,
        std::string(map.program) + " refused (see " + std::string(map.database) +
            "): " + std::string(trim(said)));
}

Result<void>
write_map(pid_t pid, const MapFile& map, const std::vector<IdRange>& ranges, std::uint32_t own) {
    const bool own_only = ranges.size() == 1 && ranges[0].size == 1 && ranges[0].outside == own;
    if (!own_only && ::geteuid() != 0) {
        return run_map_program(pid, map, ranges);
    }
    if (map.file == gid_map_file.file && ::geteuid() != 0) {
        // Without it, leaving a group could give rights that the group is denied.
        TRY(write_id_map(pid, "setgroups", "deny"));
    }
    std::string text;
    for (const IdRange& range : ranges) {
        text += std::to_string(range.inside) + " " + std::to_string(range.outside) + " " +
                std::to_string(range.size) + "\n";
    }
    TRY_CONTEXT(write_id_map(pid, map.file, text), std::string(map.file));
    return ok();
}

Result<void>
write_maps(pid_t pid, const std::vector<IdRange>& uids, const std::vector<IdRange>& gids) {
    TRY(write_map(pid, uid_map_file, uids, ::geteuid()));
    return write_map(pid, gid_map_file, gids, ::getegid());
}

// The child's work. Our end of the socket closes when we die.
void serve_maps(
    const UniqueFd& socket,
    pid_t pid,
    const std::vector<IdRange>& uids,
    const std::vector<IdRange>& gids) {
    std::array<char, 16> buffer;
    Result<Received> asked = receive_with_descriptors(socket, buffer);
    if (!asked.ok() || asked->size == 0) {
        return;
    }
    Result<void> done = write_maps(pid, uids, gids);
    const std::string answer = done.ok() ? std::string(mapped) : done.error().message();
    [[maybe_unused]] auto sent = send_with_descriptors(socket, answer, {});
}

Result<void> become_root() {
    if (::syscall(SYS_setresgid, 0, 0, 0) < 0 || ::syscall(SYS_setresuid, 0, 0, 0) < 0) {
        return errno_error("become root of the user namespace");
    }
    return ok();
}

} // namespace

bool in_user_namespace() {
    std::string text = read_file("/proc/self/uid_map", 65536).value_or("");
    std::vector<std::string_view> fields = words(text);
    const std::vector<std::string_view> first{"0", "0", "4294967295"};
    return !fields.empty() && fields != first;
}

Result<void>
enter_new_user_namespace(const std::vector<IdRange>& uids, const std::vector<IdRange>& gids) {
    SocketPair sockets = TRY(socket_pair(SOCK_SEQPACKET));
    const pid_t self = ::getpid();
    Cloned helper = TRY(clone_process(0, UniqueFd()));
    if (helper.pid == 0) {
        sockets.first.reset();
        serve_maps(sockets.second, self, uids, gids);
        ::_exit(0);
    }
    Child child = TRY(Child::adopt(helper.pid, std::move(helper.pidfd)));
    sockets.second.reset();
    if (::unshare(CLONE_NEWUSER) < 0) {
        return errno_error("make a user namespace (are they allowed for users here?)");
    }
    TRY(send_with_descriptors(sockets.first, "map", {}));
    std::array<char, 8192> buffer;
    Received answer = TRY(receive_with_descriptors(sockets.first, buffer));
    TRY(child.wait());
    const std::string_view text(buffer.data(), answer.size);
    if (text != mapped) {
        return Error(ErrorKind::Forbidden, "map ids: " + std::string(text));
    }
    TRY(become_root());
    if (::unshare(CLONE_NEWNS) < 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0) {
        return errno_error("make a mount namespace");
    }
    return ok();
}

Result<void> join_user_namespace(FdRef process) {
    TRY(join_namespaces(process, CLONE_NEWUSER));
    return become_root();
}

} // namespace berth::kernel
