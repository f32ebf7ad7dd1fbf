// SPDX-License-Identifier: Apache-2.0
// Image references: the normalized and the familiar form must mean the same reference.
#include "oci/reference.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using berth::oci::Reference;
    const auto reference = Reference::parse_normalized(std::string(data, data + size));
    if (reference.ok()) {
        const auto again = Reference::parse_normalized(reference->to_string());
        if (!again.ok() || *again != *reference) {
            std::abort();
        }
    }
    return 0;
}
