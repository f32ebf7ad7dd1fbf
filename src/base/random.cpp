// SPDX-License-Identifier: Apache-2.0
// Identifiers from the kernel's random source; getrandom(2) cannot fail for these sizes once it is
// seeded.
#include "base/random.h"

#include "base/strings.h"
#include "base/verify.h"

#include <cerrno>

#include <sys/random.h>

namespace berth {

namespace {

void fill_random(void* data, std::size_t size) {
    auto* bytes = static_cast<char*>(data);
    while (size > 0) {
        ssize_t got = ::getrandom(bytes, size, 0);
        if (got < 0) {
            VERIFY(errno == EINTR);
            continue;
        }
        bytes += got;
        size -= static_cast<std::size_t>(got);
    }
}

} // namespace

std::string random_hex(std::size_t bytes) {
    std::string raw(bytes, '\0');
    fill_random(raw.data(), raw.size());
    return to_hex(raw);
}

std::uint64_t random_u64() {
    std::uint64_t value = 0;
    fill_random(&value, sizeof value);
    return value;
}

} // namespace berth
