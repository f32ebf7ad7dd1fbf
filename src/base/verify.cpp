// SPDX-License-Identifier: Apache-2.0
// The last words of a process whose invariant broke.
#include "base/verify.h"

#include <cstdio>
#include <cstdlib>

namespace berth {

void verification_failed(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "berth: invariant broken: %s (%s:%d)\n", condition, file, line);
    std::abort();
}

} // namespace berth
