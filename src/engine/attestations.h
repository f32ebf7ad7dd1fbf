// SPDX-License-Identifier: Apache-2.0
// Statements about an image, in in-toto's form, that stand beside it in its index.
#pragma once

#include "base/result.h"
#include "oci/descriptor.h"

#include <string>
#include <vector>

namespace berth::store {
class Store;
}

namespace berth::engine {

struct Attestation {
    oci::Descriptor descriptor;
    std::string predicate_type;
    std::string statement; // the document as it is stored, where it was asked for
};

struct AttestationQuery {
    std::string platform;             // "": this machine's
    std::vector<std::string> types{}; // predicate types; none: all
    bool statements = false;
};

// Of an image of the store. NotFound when it has nothing for the platform, or what is asked for is
// not here.
Result<std::vector<Attestation>>
list_attestations(store::Store& store, const std::string& image, const AttestationQuery& query);

} // namespace berth::engine
