// SPDX-License-Identifier: Apache-2.0
// OpenSSL's EVP interface. Its calls fail only for want of memory, which is treated as abort.
#include "oci/digester.h"

#include "base/strings.h"
#include "base/verify.h"

#include <openssl/evp.h>

namespace berth::oci {

namespace {

EVP_MD_CTX* evp(void* context) {
    return static_cast<EVP_MD_CTX*>(context);
}

const EVP_MD* method_of(std::string_view algorithm) {
    if (algorithm == "sha256") {
        return EVP_sha256();
    }
    return algorithm == "sha512" ? EVP_sha512() : nullptr;
}

} // namespace

void Digester::FreeContext::operator()(void* context) const {
    EVP_MD_CTX_free(evp(context));
}

Result<Digester> Digester::create(std::string_view algorithm) {
    const EVP_MD* method = method_of(algorithm);
    if (method == nullptr) {
        return not_implemented(
            "digests of algorithm \"" + std::string(algorithm) + "\" are not supported");
    }
    Digester digester;
    digester.algorithm_ = algorithm;
    digester.context_.reset(EVP_MD_CTX_new());
    VERIFY(digester.context_ != nullptr);
    VERIFY(EVP_DigestInit_ex(evp(digester.context_.get()), method, nullptr) == 1);
    return digester;
}

void Digester::update(std::string_view bytes) {
    VERIFY(EVP_DigestUpdate(evp(context_.get()), bytes.data(), bytes.size()) == 1);
}

Digest Digester::finish() {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    VERIFY(EVP_DigestFinal_ex(evp(context_.get()), bytes, &length) == 1);
    // SAFETY: bytes are read as characters.
    std::string_view text(reinterpret_cast<const char*>(bytes), length);
    return Digest::parse(algorithm_ + ":" + to_hex(text)).value();
}

Result<void> require_blob_digest(const Digest& digest) {
    if (method_of(digest.algorithm()) == nullptr) {
        return not_implemented(
            "digests of algorithm \"" + std::string(digest.algorithm()) + "\" are not supported");
    }
    return ok();
}

Result<Digest> parse_blob_digest(std::string_view text) {
    Digest digest = TRY(Digest::parse(text));
    TRY(require_blob_digest(digest));
    return digest;
}

Digest digest_of(std::string_view algorithm, std::string_view bytes) {
    Digester digester = std::move(Digester::create(algorithm)).value();
    digester.update(bytes);
    return digester.finish();
}

} // namespace berth::oci
