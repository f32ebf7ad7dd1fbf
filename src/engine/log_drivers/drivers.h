// SPDX-License-Identifier: Apache-2.0
// The drivers of log_driver.h, one file each.
#pragma once

#include "engine/log_driver.h"

namespace berth::engine {

Result<void> check_syslog_options(const LogInfo& probe);
Result<std::unique_ptr<LogDriver>> make_syslog_driver(const LogInfo& info);

Result<void> check_gelf_options(const LogInfo& probe);
Result<std::unique_ptr<LogDriver>> make_gelf_driver(const LogInfo& info);

Result<void> check_fluentd_options(const LogInfo& probe);
Result<std::unique_ptr<LogDriver>> make_fluentd_driver(const LogInfo& info);

Result<std::unique_ptr<LogDriver>> make_journald_driver(const LogInfo& info);

} // namespace berth::engine
