// SPDX-License-Identifier: Apache-2.0
// What becomes of a registry's failures on their way to a client.
#pragma once

#include "base/result.h"

#include <utility>

namespace berth::api {

// A registry that cannot be reached is 500, as from dockerd: 503 would speak of the engine itself.
template <typename T>
Result<T> from_registry(Result<T> outcome) {
    if (!outcome.ok() && outcome.error().kind() == ErrorKind::Unavailable) {
        return std::move(outcome).error().as(ErrorKind::Internal);
    }
    return outcome;
}

// A pull or push that the registry wants credentials for is 500 too: at 401 the docker client would
// ask its user for them and wait, which dockerd never makes it do.
template <typename T>
Result<T> transferred(Result<T> outcome) {
    if (!outcome.ok() && outcome.error().kind() == ErrorKind::Unauthorized) {
        return std::move(outcome).error().as(ErrorKind::Internal);
    }
    return from_registry(std::move(outcome));
}

} // namespace berth::api
