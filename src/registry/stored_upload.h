// SPDX-License-Identifier: Apache-2.0
// Blobs of the store on their way into a registry. Internal to those who push.
#pragma once

#include "base/result.h"
#include "oci/descriptor.h"
#include "registry/client.h"
#include "store/blob_store.h"

#include <stop_token>

namespace berth::registry {

// DataLoss where the registry is right to refuse the bytes.
Result<void> upload_stored_blob(
    const std::stop_token& stop,
    Client& client,
    const store::BlobStore& blobs,
    const oci::Descriptor& blob,
    const Client::Sent& sent);

} // namespace berth::registry
