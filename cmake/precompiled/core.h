// SPDX-License-Identifier: Apache-2.0
// What most sources include anyway, compiled once: see docs/decisions/0013-precompiled-headers.md. Each source still
// includes what it uses; the fuzz preset and clang-tidy compile without this file and hold that.
#pragma once

#include "base/result.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>
