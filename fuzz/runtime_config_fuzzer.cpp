// SPDX-License-Identifier: Apache-2.0
// config.json, process.json and resources as a stranger may write them.
#include "oci/runtime_config.h"
#include "runtime/hooks.h"
#include "runtime/intel_rdt.h"
#include "runtime/mount_options.h"
#include "runtime/namespaces.h"
#include "runtime/net_devices.h"
#include "runtime/process_traits.h"
#include "runtime/rlimits.h"
#include "runtime/sysctl.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    (void)berth::oci::parse_process_text(text);
    (void)berth::oci::parse_resources_text(text);
    auto config = berth::oci::parse_runtime_config(text);
    if (config.ok()) {
        (void)berth::runtime::plan_namespaces(*config);
        (void)berth::runtime::check_sysctls(*config);
        (void)berth::runtime::check_hooks(config->hooks);
        (void)berth::runtime::check_intel_rdt(config->linux_.intel_rdt);
        (void)berth::runtime::check_net_devices(*config);
        if (config->process) {
            (void)berth::runtime::process_traits(*config->process, config->linux_);
            (void)berth::runtime::check_rlimits(config->process->rlimits);
        }
        for (const auto& mount : config->mounts) {
            (void)berth::runtime::parse_mount_options(mount.options);
        }
        if (!berth::oci::parse_runtime_config(berth::oci::runtime_config_text(*config)).ok()) {
            __builtin_trap();
        }
    }
    return 0;
}
