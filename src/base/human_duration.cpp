// SPDX-License-Identifier: Apache-2.0
// After github.com/docker/go-units, HumanDuration.
#include "base/human_duration.h"

namespace berth {

std::string human_duration(std::int64_t seconds) {
    const std::int64_t minutes = seconds / 60;
    const std::int64_t hours = (seconds + 1800) / 3600;
    if (seconds < 1) {
        return "Less than a second";
    }
    if (seconds == 1) {
        return "1 second";
    }
    if (seconds < 60) {
        return std::to_string(seconds) + " seconds";
    }
    if (minutes == 1) {
        return "About a minute";
    }
    if (minutes < 60) {
        return std::to_string(minutes) + " minutes";
    }
    if (hours == 1) {
        return "About an hour";
    }
    if (hours < 48) {
        return std::to_string(hours) + " hours";
    }
    if (hours < 24L * 7 * 2) {
        return std::to_string(hours / 24) + " days";
    }
    if (hours < 24L * 30 * 2) {
        return std::to_string(hours / 24 / 7) + " weeks";
    }
    if (hours < 24L * 365 * 2) {
        return std::to_string(hours / 24 / 30) + " months";
    }
    return std::to_string(hours / 24 / 365) + " years";
}

} // namespace berth
