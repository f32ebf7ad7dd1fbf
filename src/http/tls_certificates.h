// SPDX-License-Identifier: Apache-2.0
// Certificates and keys in PEM, for a context of OpenSSL. False with an error in OpenSSL's queue.
// Internal to this library.
#pragma once

#include "http/tls.h"

#include <openssl/types.h>

namespace berth::http {

// The server's own first, then what leads to its root.
bool use_chain(SSL_CTX* context, const TlsMaterial::Part& part);
bool use_key(SSL_CTX* context, const TlsMaterial::Part& part);
// Who may sign what clients must show.
bool use_client_ca(SSL_CTX* context, const TlsMaterial::Part& part);

} // namespace berth::http
