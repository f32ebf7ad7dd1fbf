// SPDX-License-Identifier: Apache-2.0
// Computing a digest, apart from reading one: a program that only reads them links no cryptography
// (the command line starts in a third of the time).
#include "codec/sha256.h"
#include "oci/digest.h"

namespace berth::oci {

Digest Digest::of(std::string_view bytes) {
    return Digest("sha256:" + sha256_hex(bytes));
}

} // namespace berth::oci
