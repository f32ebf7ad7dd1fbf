// SPDX-License-Identifier: Apache-2.0
// What options do whose values have a form of their own: to be DaemonOption::apply. InvalidArgument
// for values of another form.
#pragma once

#include "engine/daemon_options.h"

namespace berth::engine {

Result<void> set_feature(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void>
add_nondistributable(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void>
set_storage_option(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void>
set_accepted_mark(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void> set_firewall(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void>
set_userns_remap(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void>
add_host_gateway(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void>
add_default_ulimit(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void>
add_log_option(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void>
add_address_pool(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void> add_default_network_option(
    DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void> add_runtime(DaemonConfig& config, const DaemonOption& option, std::string_view value);
Result<void>
add_exec_option(DaemonConfig& config, const DaemonOption& option, std::string_view value);

} // namespace berth::engine
