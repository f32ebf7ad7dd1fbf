// SPDX-License-Identifier: Apache-2.0
// A bundle with a busybox root, a state root and a cgroup of its own for each test. Everything is
// removed with the fixture.
#pragma once

#include "base/file.h"
#include "oci/runtime_config.h"
#include "runtime/container.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace berth::runtime {

struct Outcome {
    int code = -1; // as a shell shows it
    std::string output;
};

// A sanitizer makes each start of a program some 20 times as long: what is repeated to meet a
// moment is repeated less often then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

class ContainerTest : public ::testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    // Writes config_ to the bundle and creates the container. Output goes to a pipe.
    Result<Container> create(const std::string& id = "c");

    // create, start, wait, destroy.
    Outcome run(const std::vector<std::string>& args);
    // The same with a shell's script.
    Outcome run_shell(const std::string& script);
    Outcome finish(Container& container);
    Outcome exec(Container& container, const std::vector<std::string>& args);
    Outcome exec_process(Container& container, oci::Process process);

    // As an engine does it, see CreateOptions. Else the mounts are the creator's.
    bool begins_empty_ = true;

    // With ids from 100000, who own the root.
    void use_user_namespace();

    // Lets berth-runtime run in the container: it is static, except with a sanitizer, whose
    // run-time library cannot be linked into a static program. Then the host's libraries are
    // mounted.
    void mount_libraries_of_programs();

    std::string root_path() const { return bundle_ + "/rootfs"; }

    // What was written to the output pipe so far and until all writers are gone.
    std::string read_output();

    oci::RuntimeConfig config_;
    std::string bundle_;
    std::string state_root_;
    std::string cgroup_parent_;
    std::optional<TemporaryDirectory> folder_;
    UniqueFd output_;
};

// Reaps a child of ours.
int wait_for_exit(pid_t pid);

} // namespace berth::runtime
