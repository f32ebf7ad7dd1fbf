// SPDX-License-Identifier: Apache-2.0
// process.apparmorProfile and selinuxLabel, linux.mountLabel.
#pragma once

#include "base/result.h"
#include "kernel/procfs.h"
#include "oci/runtime_config.h"

namespace berth::runtime {

// On the host, before anything is made: Unavailable when the kernel lacks the module of a label.
Result<void> check_security_labels(const oci::Process& process, const std::string& mount_label);

// In the process: the labels hold from its next execve(2) on, and for the keyrings that it makes
// until then. CVE-2019-16884, CVE-2025-52881: only
// a file of a proven procfs is written.
Result<void> set_security_labels(const oci::Process& process, const kernel::Procfs& procfs);

} // namespace berth::runtime
