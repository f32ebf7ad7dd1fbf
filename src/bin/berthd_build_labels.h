// SPDX-License-Identifier: Apache-2.0
// The engine's SELinux labels for the steps of a build: engine and build do not know each other.
#pragma once

#include "build/step_labels.h"
#include "engine/selinux.h"

namespace berth::bin {

// The labeler outlives what is given.
build::StepLabeling step_labeling(engine::SelinuxLabeler& labeler);

} // namespace berth::bin
