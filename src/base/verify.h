// SPDX-License-Identifier: Apache-2.0
// VERIFY(condition): aborts loudly when an invariant of ours is broken. Never for input or the
// kernel's answers.
#pragma once

namespace berth {

[[noreturn]] void verification_failed(const char* condition, const char* file, int line);

} // namespace berth

#define VERIFY(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) [[unlikely]]                                                             \
            ::berth::verification_failed(#condition, __FILE__, __LINE__);                          \
    } while (false)
