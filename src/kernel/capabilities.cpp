// SPDX-License-Identifier: Apache-2.0
// capset(2) and prctl(2); the table of names is that of capability.h.
#include "kernel/capabilities.h"

#include <linux/capability.h>

#include <array>
#include <cerrno>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

constexpr auto capability_names = std::to_array<std::string_view>(
    {"CAP_CHOWN",
     "CAP_DAC_OVERRIDE",
     "CAP_DAC_READ_SEARCH",
     "CAP_FOWNER",
     "CAP_FSETID",
     "CAP_KILL",
     "CAP_SETGID",
     "CAP_SETUID",
     "CAP_SETPCAP",
     "CAP_LINUX_IMMUTABLE",
     "CAP_NET_BIND_SERVICE",
     "CAP_NET_BROADCAST",
     "CAP_NET_ADMIN",
     "CAP_NET_RAW",
     "CAP_IPC_LOCK",
     "CAP_IPC_OWNER",
     "CAP_SYS_MODULE",
     "CAP_SYS_RAWIO",
     "CAP_SYS_CHROOT",
     "CAP_SYS_PTRACE",
     "CAP_SYS_PACCT",
     "CAP_SYS_ADMIN",
     "CAP_SYS_BOOT",
     "CAP_SYS_NICE",
     "CAP_SYS_RESOURCE",
     "CAP_SYS_TIME",
     "CAP_SYS_TTY_CONFIG",
     "CAP_MKNOD",
     "CAP_LEASE",
     "CAP_AUDIT_WRITE",
     "CAP_AUDIT_CONTROL",
     "CAP_SETFCAP",
     "CAP_MAC_OVERRIDE",
     "CAP_MAC_ADMIN",
     "CAP_SYSLOG",
     "CAP_WAKE_ALARM",
     "CAP_BLOCK_SUSPEND",
     "CAP_AUDIT_READ",
     "CAP_PERFMON",
     "CAP_BPF",
     "CAP_CHECKPOINT_RESTORE"});

constexpr CapabilitySet bit(int number) {
    return CapabilitySet{1} << number;
}

Result<CapabilitySet> current_permitted() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    if (::syscall(SYS_capget, &header, data.data()) < 0) {
        return errno_error("capget");
    }
    return CapabilitySet{data[0].permitted} | CapabilitySet{data[1].permitted} << 32;
}

} // namespace

std::optional<int> capability_number(std::string_view name) {
    for (std::size_t i = 0; i < capability_names.size(); ++i) {
        if (capability_names[i] == name) {
            return static_cast<int>(i);
        }
    }
    return std::nullopt;
}

std::string_view capability_name(int number) {
    return number >= 0 && static_cast<std::size_t>(number) < capability_names.size()
               ? capability_names[static_cast<std::size_t>(number)]
               : std::string_view();
}

int last_capability() {
    static const int last = [] {
        int number = static_cast<int>(capability_names.size()) - 1;
        while (number > 0 && ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) < 0) {
            --number;
        }
        return number;
    }();
    return last;
}

Result<CapabilitySet> capability_set(std::span<const std::string> set) {
    CapabilitySet bits = 0;
    for (const std::string& name : set) {
        std::optional<int> number = capability_number(name);
        if (!number) {
            return invalid_argument("unknown capability \"" + name + "\"");
        }
        if (*number <= last_capability()) {
            bits |= bit(*number);
        }
    }
    return bits;
}

Result<void> drop_bounding_capabilities(CapabilitySet keep) {
    // Newer kernels may have capabilities that the table lacks: they are dropped too.
    for (int number = 0; number < 64; ++number) {
        if ((keep & bit(number)) != 0) {
            continue;
        }
        if (::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0) {
            continue;
        }
        const int refused = errno;
        const int held = ::prctl(PR_CAPBSET_READ, number, 0, 0, 0);
        if (held < 0) {
            break; // beyond the kernel's last
        }
        if (held == 1) { // who may not drop any may lack this one already
            return Error::from_errno(
                "drop " + std::string(capability_name(number)) + " from the bounding set", refused);
        }
    }
    return ok();
}

Result<void> set_capabilities(const CapabilitySets& sets) {
    // What the caller itself lacks (a runtime in a container) cannot be given; runc leaves it out
    // likewise.
    CapabilitySet held = TRY(current_permitted());
    CapabilitySet permitted = sets.permitted & held;
    CapabilitySet effective = sets.effective & permitted;
    auto low = [](CapabilitySet set) { return static_cast<std::uint32_t>(set); };
    auto high = [](CapabilitySet set) { return static_cast<std::uint32_t>(set >> 32); };
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{
        {{low(effective), low(permitted), low(sets.inheritable & held)},
         {high(effective), high(permitted), high(sets.inheritable & held)}}};
    if (::syscall(SYS_capset, &header, data.data()) < 0) {
        return errno_error("set capabilities");
    }
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) {
        return errno_error("clear ambient capabilities");
    }
    for (int number = 0; number <= last_capability(); ++number) {
        // Only what is permitted and inheritable can be ambient; the rest is left out (runc).
        if ((sets.ambient & permitted & sets.inheritable & bit(number)) != 0 &&
            ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0) {
            return errno_error("raise ambient " + std::string(capability_name(number)));
        }
    }
    return ok();
}

} // namespace berth::kernel
