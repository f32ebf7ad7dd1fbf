// SPDX-License-Identifier: Apache-2.0
// A line of `stats`: two samples of a container as docker's percentages and sizes.
#pragma once

#include "codec/json.h"

#include <string>

namespace berth::cli {

// What the percentage of processor time is reckoned from.
struct CpuSample {
    double used = 0;
    double system = 0;
};

CpuSample cpu_sample(const json::Value& stats);

// `before` is an earlier sample of the same container; none: no time has passed. `name` is what the
// container was asked for as.
json::Object stats_row(
    const json::Value& stats, const CpuSample* before, const std::string& name, bool truncate);

} // namespace berth::cli
