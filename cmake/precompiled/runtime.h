// SPDX-License-Identifier: Apache-2.0
// For the runtime: also the runtime's configuration, the dearest of our own headers.
#pragma once

#include "precompiled/core.h"

#include "oci/runtime_config.h"
