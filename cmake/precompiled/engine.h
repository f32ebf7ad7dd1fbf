// SPDX-License-Identifier: Apache-2.0
// For the engine's library: also what nearly all of its sources share, which rebuilds them when it changes anyway.
#pragma once

#include "precompiled/core.h"

#include "engine/core.h"
