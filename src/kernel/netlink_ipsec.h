// SPDX-License-Identifier: Apache-2.0
// Whether packets may have to be encrypted on their way: ip-xfrm(8).
#pragma once

#include "base/result.h"

namespace berth::kernel {

// Whether the calling thread's network namespace has any policy of IPsec. False where the kernel
// has no IPsec.
Result<bool> has_ipsec_policies();

} // namespace berth::kernel
