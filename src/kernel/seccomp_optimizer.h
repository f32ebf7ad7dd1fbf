// SPDX-License-Identifier: Apache-2.0
// Makes the program of a system call filter smaller. The kernel checks and translates it at each
// start of a container, which takes as long as the program is.
#pragma once

#include <string>
#include <string_view>

namespace berth::kernel {

// `instructions` is an array of sock_filter, and so is what comes back: a shorter program that is
// proved to decide the same, or the same one.
std::string optimize_seccomp(std::string_view instructions);

} // namespace berth::kernel
