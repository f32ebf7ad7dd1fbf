// SPDX-License-Identifier: Apache-2.0
// Where berth-runtime begins: before the C library, and on the way to it.
//
// A command that enters containers executes itself once more from a read-only mount of its file
// (CVE-2019-5736; see runtime/self_protection). All that the C library and our constructors do
// until main would be thrown away by that: page faults, and some dozen CPUID instructions, each
// of which leaves a virtual machine. So the usual way is gone right here, with five system calls.
// Whatever fails here is left to protect_program(), which runs in main and knows the other way.
#include "bin/berth_init_calls.h"

#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>

#include <sys/vfs.h>

namespace {

using berth::init::address;
using berth::init::equal;
using berth::init::system_call;

constexpr long readonly_mount = 1;      // ST_RDONLY
constexpr long private_mount = 1 << 18; // MS_PRIVATE

// More words than commands are harmless: then a command that did not need it is protected too.
bool enters_containers(char* const* arguments) {
    for (; *arguments != nullptr; ++arguments) {
        if (equal(*arguments, "create") || equal(*arguments, "run") || equal(*arguments, "exec")) {
            return true;
        }
    }
    return false;
}

} // namespace

// SAFETY: runs before relocation and before thread-local storage, so it may use nothing but its
// stack and what lies at a fixed distance from the code. `stack` is the kernel's: argument count,
// arguments, null, environment, null.
extern "C" [[gnu::used]] void berth_protect_early(long* stack) {
    char** arguments = reinterpret_cast<char**>(stack + 1);
    char** environment = arguments + stack[0] + 1;
    struct statfs system;
    if (!enters_containers(arguments) ||
        system_call(SYS_statfs, address("/proc/self/exe"), address(&system)) != 0 ||
        (system.f_flags & readonly_mount) != 0) {
        return;
    }
    long mount = system_call(
        SYS_open_tree, AT_FDCWD, address("/proc/self/exe"), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (mount < 0) {
        return;
    }
    mount_attr attributes;
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    attributes.attr_clr = 0;
    attributes.propagation = private_mount;
    attributes.userns_fd = 0;
    if (system_call(
            SYS_mount_setattr,
            mount,
            address(""),
            AT_EMPTY_PATH,
            address(&attributes),
            sizeof attributes) == 0) {
        system_call(
            SYS_execveat,
            mount,
            address(""),
            address(arguments),
            address(environment),
            AT_EMPTY_PATH);
    }
    system_call(SYS_close, mount);
}

// The C library finds registers and stack as the kernel left them.
#if defined(__x86_64__)
asm(".globl berth_protected_entry\nberth_protected_entry:\n xor %ebp, %ebp\n mov %rsp, %rbx\n"
    " mov %rsp, %rdi\n call berth_protect_early\n mov %rbx, %rsp\n xor %edx, %edx\n jmp _start\n");
#elif defined(__aarch64__)
asm(".globl berth_protected_entry\nberth_protected_entry:\n mov x29, #0\n mov x19, sp\n"
    " mov x0, sp\n bl berth_protect_early\n mov sp, x19\n mov x0, #0\n b _start\n");
#else
asm(".globl berth_protected_entry\n.set berth_protected_entry, _start\n");
#endif
