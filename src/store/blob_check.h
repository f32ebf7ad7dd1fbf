// SPDX-License-Identifier: Apache-2.0
// Whether a blob on the disk still is what its name says: for those who hand it on.
#pragma once

#include "base/result.h"
#include "codec/sha256.h"
#include "store/blob_store.h"

#include <string>

namespace berth::store {

// DataLoss, with the way out.
inline Error damaged_blob(const oci::Digest& digest, const std::string& found_hex) {
    return {
        ErrorKind::DataLoss,
        "blob " + digest.to_string() + " is damaged on the disk, its bytes have digest sha256:" +
            found_hex + "; \"berth system check --repair\" mends what can be mended"};
}

// Reads it whole. NotFound when there is none.
inline Result<void> verify_blob(const BlobStore& blobs, const oci::Digest& digest) {
    FdSource file(TRY(blobs.open_blob(digest)));
    HashingSource hashed(file);
    std::string buffer(1U << 20, '\0');
    while (TRY(hashed.read(buffer)) > 0) {
    }
    const std::string found = hashed.finish_hex();
    return found == digest.hex() ? ok() : Result<void>(damaged_blob(digest, found));
}

} // namespace berth::store
