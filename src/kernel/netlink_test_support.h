// SPDX-License-Identifier: Apache-2.0
// For tests that configure networks: each runs in a forked child with a network namespace of its
// own, so that nothing is left on the machine, and asks ip(8) and nft(8) what the kernel has.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace berth::kernel {

// Runs the body in a child process with a new network namespace (lo up); its failed expectations
// fail the calling test.
void in_new_network(const std::function<void()>& body);

// The program's standard output and error; adds a failure when it does not exit with 0.
std::string output_of(const std::vector<std::string>& command);

} // namespace berth::kernel
