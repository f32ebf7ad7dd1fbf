// SPDX-License-Identifier: Apache-2.0
// Profiles of --security-opt seccomp=: resolving and compiling.
#include "runtime/container_impl.h"
#include "runtime/defaults.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto profile = berth::runtime::resolve_seccomp(
        std::string_view(reinterpret_cast<const char*>(data), size),
        berth::runtime::default_capabilities());
    if (profile.ok()) {
        (void)berth::runtime::seccomp_program(*profile, "");
    }
    return 0;
}
