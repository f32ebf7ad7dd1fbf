// SPDX-License-Identifier: Apache-2.0
// For the tests of every library that has no precompiled header of its own.
#pragma once

#include "precompiled/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
