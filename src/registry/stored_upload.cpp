// SPDX-License-Identifier: Apache-2.0
// The source of an upload is the file of the blob, from wherever the registry wants it.
#include "registry/stored_upload.h"

#include "store/blob_check.h"

#include <memory>

#include <unistd.h>

namespace berth::registry {

Result<void> upload_stored_blob(
    const std::stop_token& stop,
    Client& client,
    const store::BlobStore& blobs,
    const oci::Descriptor& blob,
    const Client::Sent& sent) {
    auto open = [&](std::uint64_t offset) -> Result<std::unique_ptr<ByteSource>> {
        UniqueFd file = TRY(blobs.open_blob(blob.digest));
        if (::lseek(file.get(), static_cast<off_t>(offset), SEEK_SET) < 0) {
            return errno_error("seek in blob " + blob.digest.to_string());
        }
        return std::unique_ptr<ByteSource>(std::make_unique<FdSource>(std::move(file)));
    };
    auto outcome = client.upload_blob(stop, blob, open, sent);
    // A registry that refuses the bytes may be right.
    if (!outcome.ok() && outcome.error().kind() == ErrorKind::InvalidArgument) {
        TRY(store::verify_blob(blobs, blob.digest));
    }
    return outcome;
}

} // namespace berth::registry
