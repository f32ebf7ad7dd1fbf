// SPDX-License-Identifier: Apache-2.0
// Whether a blob on the disk still is what its name says: for those who hand it on.
#pragma once

#include "base/result.h"
#include "codec/stream.h"
#include "store/blob_store.h"

#include <string>

namespace berth::store {

// DataLoss, with the way out.
inline Error damaged_blob(const oci::Digest& digest, const oci::Digest& found) {
    return {
        ErrorKind::DataLoss,
        "blob " + digest.to_string() + " is damaged on the disk, its bytes have digest " +
            found.to_string() + "; \"berth system check --repair\" mends what can be mended"};
}

// Reads it whole. NotFound when there is none.
inline Result<void> verify_blob(const BlobStore& blobs, const oci::Digest& digest) {
    FdSource file(TRY(blobs.open_blob(digest)));
    oci::Digester hash = TRY(oci::Digester::create(digest.algorithm()));
    std::string buffer(1U << 20, '\0');
    while (std::size_t count = TRY(file.read(buffer))) {
        hash.update(std::string_view(buffer).substr(0, count));
    }
    const oci::Digest found = hash.finish();
    return found == digest ? ok() : Result<void>(damaged_blob(digest, found));
}

} // namespace berth::store
