// SPDX-License-Identifier: Apache-2.0
// Instructions that change nothing but the configuration of an image: in a Dockerfile's stage, and
// as the changes of docker commit and docker import.
#pragma once

#include "base/result.h"
#include "build/dockerfile.h"
#include "build/word_expansion.h"
#include "oci/image_config.h"

#include <string>
#include <vector>

namespace berth::build {

struct ConfigDraft {
    oci::ContainerDefaults& config;
    bool& cmd_set; // by a CMD before, which ENTRYPOINT leaves alone
};

// Does what the instruction says. Returns what stands in the history behind "#(nop)". REQUIRES: one
// of CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME,
// WORKDIR.
Result<std::string> apply_to_config(
    const Instruction& instruction, ConfigDraft draft, const Variables& variables, char escape);

// What runs a command that is a line of text.
std::vector<std::string> shell_of(const oci::ContainerDefaults& config);

// Of its environment.
Variables variables_of(const oci::ContainerDefaults& config);

} // namespace berth::build
