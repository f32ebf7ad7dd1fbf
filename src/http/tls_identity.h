// SPDX-License-Identifier: Apache-2.0
// Who a TLS client is, by the certificate that it showed.
#pragma once

#include <string>
#include <vector>

namespace berth::http {

// Verified; empty where the server asks for no certificate.
struct TlsIdentity {
    std::string common_name;               // of the subject; the last, where there are several
    std::vector<std::string> certificates; // PEM, the client's own first
};

} // namespace berth::http
