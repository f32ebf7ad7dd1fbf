// SPDX-License-Identifier: Apache-2.0
// The API's one table from kinds of errors to HTTP statuses, and the body of an error.
#pragma once

#include "base/error.h"

#include <string>
#include <string_view>

namespace berth::api {

unsigned status_of(ErrorKind kind);

// {"message":"…"} and a newline, as dockerd writes it.
std::string error_body(std::string_view message);

} // namespace berth::api
