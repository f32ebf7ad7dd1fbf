// SPDX-License-Identifier: Apache-2.0
// Authorization headers as clients of the registry send them: the text as it is, and, where it has
// two lines, as a token's header and claims that a trusted key has signed.
#include "base/file.h"
#include "base/free_with.h"
#include "base/verify.h"
#include "codec/base64.h"
#include "registry/server/authenticator.h"

#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace berth::registry {

namespace {

using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;

std::string certificate_of(EVP_PKEY* key) {
    std::unique_ptr<X509, FreeWith<X509_free>> certificate(X509_new());
    std::unique_ptr<BIO, FreeWith<BIO_free_all>> text(BIO_new(BIO_s_mem()));
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86'400);
    VERIFY(X509_set_pubkey(certificate.get(), key) == 1);
    VERIFY(X509_sign(certificate.get(), key, EVP_sha256()) > 0);
    VERIFY(PEM_write_bio_X509(text.get(), certificate.get()) == 1);
    char* start = nullptr;
    const long size = BIO_get_mem_data(text.get(), &start);
    return {start, static_cast<std::size_t>(size)};
}

struct World {
    TemporaryDirectory folder = std::move(TemporaryDirectory::create("/tmp")).value();
    Key key{EVP_EC_gen("P-256")};
    std::unique_ptr<Authenticator> authenticator;

    World() {
        const std::string file = folder.path() + "/certificate";
        VERIFY(replace_file(file, certificate_of(key.get())).ok());
        authenticator = std::move(make_token_authenticator(
                                      {.realm = "https://r",
                                       .service = "s",
                                       .issuer = "i",
                                       .root_certificates = file}))
                            .value();
    }

    // JOSE's form of an ES256 signature: r and s side by side.
    std::string sign(std::string_view text) const {
        std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
        std::array<unsigned char, 128> der{};
        std::size_t size = der.size();
        VERIFY(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1);
        // SAFETY: characters are read as bytes, and written back as such below.
        VERIFY(
            EVP_DigestSign(
                context.get(),
                der.data(),
                &size,
                reinterpret_cast<const unsigned char*>(text.data()),
                text.size()) == 1);
        const unsigned char* position = der.data();
        std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>> parts(
            d2i_ECDSA_SIG(nullptr, &position, static_cast<long>(size)));
        std::array<unsigned char, 64> bytes{};
        VERIFY(BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), bytes.data(), 32) == 32);
        VERIFY(BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), bytes.data() + 32, 32) == 32);
        return base64_encode(
            {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, Base64Alphabet::UrlSafe);
    }

    void check(const std::string& header) const {
        const std::array<Access, 2> wanted{
            {{"repository", "a", "pull"}, {"repository", "a", "push"}}};
        http::Request request;
        request.headers.add("Authorization", header);
        std::string user;
        auto answer = authenticator->check(request, wanted, user);
        VERIFY(answer.ok());
        if (*answer) {
            VERIFY(user.empty() && (*answer)->challenge.starts_with("Bearer realm="));
            VERIFY((*answer)->challenge.find_first_of("\r\n") == std::string::npos);
        }
    }
};

void run(std::string_view text) {
    static const World world;
    world.check(std::string(text));
    world.check("Bearer " + std::string(text));
    const std::size_t end = text.find('\n');
    if (end != std::string_view::npos) {
        std::string token = base64_encode(text.substr(0, end), Base64Alphabet::UrlSafe) + "." +
                            base64_encode(text.substr(end + 1), Base64Alphabet::UrlSafe);
        world.check("Bearer " + token + "." + world.sign(token));
    }
}

} // namespace

} // namespace berth::registry

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // SAFETY: bytes are read as characters.
    berth::registry::run(std::string_view(reinterpret_cast<const char*>(data), size));
    return 0;
}
