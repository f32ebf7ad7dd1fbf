// SPDX-License-Identifier: Apache-2.0
// The file stays open: its name is looked up once.
#include "kernel/ip_forwarding.h"

#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

namespace berth::kernel {

std::optional<bool> ipv4_forwarding() {
    static const Result<UniqueFd> file = open_file("/proc/sys/net/ipv4/ip_forward", O_RDONLY);
    char value = 0;
    if (!file.ok() || ::pread(file->get(), &value, 1, 0) != 1) {
        return std::nullopt;
    }
    return value != '0';
}

} // namespace berth::kernel
