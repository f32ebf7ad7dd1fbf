// SPDX-License-Identifier: Apache-2.0
// The mount costs a few system calls; the copy costs a millisecond and memory, so it comes second.
#include "runtime/self_protection.h"

#include "base/file.h"
#include "kernel/mount.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Result<UniqueFd> readonly_mount_of(const std::string& path) {
    UniqueFd mount = TRY(kernel::clone_mount(path, kernel::Recursive::No));
    TRY(kernel::set_mount_attributes(
        mount, {.set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE}, kernel::Recursive::No));
    return mount;
}

Result<UniqueFd> sealed_copy_of(const std::string& path) {
    UniqueFd source = TRY(open_file(path, O_RDONLY));
    UniqueFd copy(::memfd_create("berth", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!copy) {
        return errno_error("memfd_create");
    }
    constexpr std::size_t chunk = 1U << 30;
    ssize_t sent = 0;
    while ((sent = ::sendfile(copy.get(), source.get(), nullptr, chunk)) > 0) {
    }
    if (sent < 0 || ::fcntl(copy.get(), F_ADD_SEALS, all_seals) < 0) {
        return errno_error("copy " + path);
    }
    return copy;
}

} // namespace

Result<UniqueFd> protected_program(const std::string& path) {
    Result<UniqueFd> mount = readonly_mount_of(path);
    return mount.ok() ? std::move(mount) : sealed_copy_of(path);
}

bool runs_protected() {
    struct statvfs system {};

    if (::statvfs("/proc/self/exe", &system) == 0 && (system.f_flag & ST_RDONLY) != 0) {
        return true;
    }
    Result<UniqueFd> self = open_file("/proc/self/exe", O_RDONLY);
    return self.ok() && ::fcntl(self->get(), F_GET_SEALS) >= 0 &&
           (::fcntl(self->get(), F_GET_SEALS) & F_SEAL_WRITE) != 0;
}

Result<void> protect_program(char* const* arguments) {
    if (runs_protected()) {
        // The kernel names a process that was executed by descriptor after its number.
        std::string name(arguments[0] != nullptr ? arguments[0] : "berth");
        ::prctl(PR_SET_NAME, name.substr(name.rfind('/') + 1).c_str(), 0, 0, 0);
        return ok();
    }
    UniqueFd program = TRY(protected_program("/proc/self/exe"));
    ::execveat(program.get(), "", arguments, environ, AT_EMPTY_PATH);
    return errno_error("execute a protected copy of this program");
}

} // namespace berth::runtime
