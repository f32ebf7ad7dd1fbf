// SPDX-License-Identifier: Apache-2.0
// OpenSSL's EVP interface. Its calls fail only for want of memory, which is treated as abort.
#include "codec/sha256.h"

#include "base/strings.h"
#include "base/verify.h"

#include <openssl/evp.h>

namespace berth {

namespace {

EVP_MD_CTX* evp(void* context) {
    return static_cast<EVP_MD_CTX*>(context);
}

} // namespace

void Sha256::FreeContext::operator()(void* context) const {
    EVP_MD_CTX_free(evp(context));
}

Sha256::Sha256()
    : context_(EVP_MD_CTX_new()) {
    VERIFY(context_ != nullptr);
    VERIFY(EVP_DigestInit_ex(evp(context_.get()), EVP_sha256(), nullptr) == 1);
}

void Sha256::update(std::string_view bytes) {
    VERIFY(EVP_DigestUpdate(evp(context_.get()), bytes.data(), bytes.size()) == 1);
}

std::array<std::uint8_t, 32> Sha256::finish() {
    std::array<std::uint8_t, 32> digest{};
    unsigned int length = 0;
    VERIFY(EVP_DigestFinal_ex(evp(context_.get()), digest.data(), &length) == 1);
    VERIFY(length == digest.size());
    return digest;
}

std::string Sha256::finish_hex() {
    const std::array<std::uint8_t, 32> digest = finish();
    std::string bytes(digest.size(), '\0');
    for (std::size_t i = 0; i < digest.size(); ++i) {
        bytes[i] = static_cast<char>(digest[i]);
    }
    return to_hex(bytes);
}

std::string sha256_hex(std::string_view bytes) {
    Sha256 hash;
    hash.update(bytes);
    return hash.finish_hex();
}

Result<std::size_t> HashingSource::read(std::span<char> buffer) {
    const std::size_t count = TRY(source_.read(buffer));
    hash_.update({buffer.data(), count});
    count_ += count;
    return count;
}

Result<void> HashingSink::write(std::string_view bytes) {
    TRY(sink_.write(bytes));
    hash_.update(bytes);
    count_ += bytes.size();
    return ok();
}

} // namespace berth
