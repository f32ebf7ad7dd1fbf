// SPDX-License-Identifier: Apache-2.0
// Networks as the API shows them.
#include "api/wire/network.h"

namespace berth::api::wire {

json::Value encode_network(const engine::NetworkInspect& network, ApiVersion version) {
    json::Value shown = json::encode(network);
    if (version < ApiVersion{1, 48}) {
        shown.as_object().erase("EnableIPv4");
    }
    return shown;
}

} // namespace berth::api::wire
