// SPDX-License-Identifier: Apache-2.0
// What a full disk is called.
#pragma once

#include "base/error.h"
#include "base/result.h"

#include <cerrno>

namespace berth::store {

// A full disk or an exhausted quota is ResourceExhausted, which clients see as such; everything
// else stays what it is.
inline Error disk_error(Error error) {
    int number = error.error_number();
    bool full = number == ENOSPC || number == EDQUOT;
    return full ? std::move(error).as(ErrorKind::ResourceExhausted) : std::move(error);
}

template <class T>
Result<T> disk_result(Result<T> result) {
    if (result.ok()) {
        return result;
    }
    return disk_error(std::move(result).error());
}

} // namespace berth::store
