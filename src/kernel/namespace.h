// SPDX-License-Identifier: Apache-2.0
// Namespaces and the process that is born into them: clone3(2), setns(2), namespaces(7).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace berth::kernel {

// CLONE_NEW* of the OCI names (pid network mount ipc uts user cgroup time); nullopt for others.
std::optional<std::uint64_t> namespace_flag(std::string_view oci_name);

// Opens a namespace file and checks that it is one of this kind (nsfs, NS_GET_NSTYPE). The path
// may be a magic link (/proc/self/fd/7, /proc/8/ns/net).
Result<UniqueFd> open_namespace(const std::string& path, std::uint64_t flag);

// Puts the calling thread into other namespaces (pid: its future children) and back when
// destroyed. For network, ipc, uts, cgroup, pid and (its future children) time.
class NamespaceScope {
  public:
    NamespaceScope() = default;
    NamespaceScope(NamespaceScope&&) = default;
    NamespaceScope& operator=(NamespaceScope&&) = delete;
    // Aborts when the way back fails: the process would go on in a container. Only in a user
    // namespace it may stay, as the way back to the machine's own namespaces is not open there.
    ~NamespaceScope();

    // `joined` is a namespace file or a pidfd.
    Result<void> enter(FdRef joined, std::uint64_t flag);

    // Future children are in a new time namespace with these offsets ("1 86400 0\n" in the file's
    // format; they can be set as long as nobody is in it).
    Result<void> make_time_namespace(const std::string& offsets);

  private:
    std::vector<std::pair<UniqueFd, std::uint64_t>> before_;
};

Result<void> join_namespaces(FdRef joined, std::uint64_t flags);

struct Cloned {
    pid_t pid = 0; // 0 in the child
    UniqueFd pidfd;
};

// Like fork(2), with new namespaces (CLONE_NEW*) and in a cgroup of version 2 from birth. With
// CLONE_PARENT among the flags it is the caller's sibling.
// REQUIRES: the calling process has one thread.
Result<Cloned> clone_process(std::uint64_t flags, const UniqueFd& cgroup);

Result<UniqueFd> open_pidfd(pid_t pid);

// The number of a pidfd's process in our pid namespace.
Result<pid_t> pid_of(FdRef pidfd);

// A user namespace that nobody is in, for id-mapped mounts. The maps are texts for uid_map,
// gid_map. Thread-safe.
Result<UniqueFd> make_user_namespace(const std::string& uid_map, const std::string& gid_map);

struct UserNamespaces {
    UniqueFd user;
    UniqueFd network; // belongs to it
};

// The same with a network namespace, for a container to come. Thread-safe.
Result<UserNamespaces>
make_user_and_network_namespace(const std::string& uid_map, const std::string& gid_map);
// A network namespace that belongs to a user namespace. Thread-safe.
Result<UniqueFd> make_network_namespace(FdRef user_namespace);

// Text of /proc/<pid>/{uid_map,gid_map}: "0 100000 65536\n".
Result<void> write_id_map(pid_t pid, std::string_view file, const std::string& map);

// Clock ticks after boot when the process was made: with the pid it names a process for ever.
Result<std::uint64_t> process_start_time(pid_t pid);

} // namespace berth::kernel
