// SPDX-License-Identifier: Apache-2.0
// The files stay open: their names are looked up once.
#include "kernel/ip_forwarding.h"

#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

namespace berth::kernel {
namespace {

std::optional<bool> is_on(const Result<UniqueFd>& file) {
    char value = 0;
    if (!file.ok() || ::pread(file->get(), &value, 1, 0) != 1) {
        return std::nullopt;
    }
    return value != '0';
}

} // namespace

std::optional<bool> ipv4_forwarding() {
    static const Result<UniqueFd> file = open_file("/proc/sys/net/ipv4/ip_forward", O_RDONLY);
    return is_on(file);
}

std::optional<bool> ipv6_forwarding() {
    static const Result<UniqueFd> file =
        open_file("/proc/sys/net/ipv6/conf/all/forwarding", O_RDONLY);
    return is_on(file);
}

} // namespace berth::kernel
