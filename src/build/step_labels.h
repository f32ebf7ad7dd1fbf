// SPDX-License-Identifier: Apache-2.0
// SELinux labels of RUN steps. Which they are the engine knows, who hands its labeler in.
#pragma once

#include "base/result.h"

#include <functional>
#include <string>

namespace berth::build {

struct StepLabels {
    std::string process; // empty: the step's programs keep the engine's
    std::string mount;   // of the files that are this step's alone
};

// Without SELinux the functions are empty. Thread-safe.
struct StepLabeling {
    // With categories that nobody else has until they are given back.
    std::function<Result<StepLabels>()> take;
    std::function<void(const StepLabels& labels)> give_back;
    // To a file, or a directory and all that is in it.
    std::function<Result<void>(const std::string& path, const std::string& label)> apply;
    std::string shared; // of the files that several steps see

    bool is_enabled() const { return take != nullptr; }
};

} // namespace berth::build
