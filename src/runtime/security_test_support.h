// SPDX-License-Identifier: Apache-2.0
// A container with a hostile program in it (/bin/attack), and a second container that shares the
// first one's root and attacks it.
#pragma once

#include "runtime/container_test_support.h"

#include <optional>
#include <string>
#include <vector>

namespace berth::runtime {

// Beside this test program, where the build puts it.
std::string sibling_program(const std::string& name);

class SecurityTest : public ContainerTest {
  protected:
    void SetUp() override;
    void TearDown() override;

    // Starts the attacker in a container of its own, with the victim's root at /shared, and waits
    // for its "ready".
    void start_attacker(const std::vector<std::string>& args);
    // What it has said since then; it is killed first.
    std::string stop_attacker();

    // The result that a system call has in the container.
    std::string call(const std::string& words);

    // create and start; the container is destroyed and reaped by stop().
    std::optional<Container> start();
    void stop(Container& container);

  private:
    std::optional<Container> attacker_;
    UniqueFd attacker_output_;
};

} // namespace berth::runtime
