// SPDX-License-Identifier: Apache-2.0
// The header's "kid" only hints which key it was: every trusted one is tried, and no other. A chain
// in "x5c" must lead to a trusted certificate, and then its first key counts. "jwk" is not heard.
#include "registry/server/jwt.h"

#include "base/file.h"
#include "base/free_with.h"
#include "base/strings.h"
#include "codec/base64.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace berth::registry {

namespace {

constexpr std::size_t token_limit = 32U << 10;
constexpr std::size_t bundle_limit = 1U << 20;
constexpr std::size_t chain_limit = 8;

using Bio = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;

void free_chain(STACK_OF(X509) * chain) {
    sk_X509_pop_free(chain, X509_free);
}

Error refuse(std::string_view why) {
    return Error(ErrorKind::Unauthorized, "invalid token: " + std::string(why));
}

const unsigned char* bytes_of(std::string_view text) {
    // SAFETY: bytes are read, whatever their signedness.
    return reinterpret_cast<const unsigned char*>(text.data());
}

// JOSE's r and s side by side, as OpenSSL wants them.
Result<std::string> to_der(std::string_view signature) {
    if (signature.size() != 64) {
        return refuse("the signature has a wrong length");
    }
    std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>> parts(ECDSA_SIG_new());
    BIGNUM* r = BN_bin2bn(bytes_of(signature), 32, nullptr);
    BIGNUM* s = BN_bin2bn(bytes_of(signature.substr(32)), 32, nullptr);
    if (!parts || ECDSA_SIG_set0(parts.get(), r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return refuse("the signature cannot be read");
    }
    unsigned char* der = nullptr;
    int size = i2d_ECDSA_SIG(parts.get(), &der);
    if (size <= 0) {
        return refuse("the signature cannot be read");
    }
    // SAFETY: i2d allocated `size` bytes at der.
    std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    return text;
}

bool fits(std::string_view algorithm, EVP_PKEY* key) {
    if (algorithm == "ES256") {
        return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_bits(key) == 256;
    }
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) >= 2048;
}

bool is_signed_by(EVP_PKEY* key, std::string_view text, std::string_view signature) {
    std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    return context &&
           EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
           EVP_DigestVerify(
               context.get(), bytes_of(signature), signature.size(), bytes_of(text), text.size()) ==
               1;
}

Result<Certificate> parse_der(std::string_view der) {
    const unsigned char* position = bytes_of(der);
    Certificate certificate(d2i_X509(nullptr, &position, static_cast<long>(der.size())));
    return certificate ? Result<Certificate>(std::move(certificate))
                       : refuse("x5c has something that is no certificate");
}

} // namespace

struct TrustedKeys::Store {
    std::unique_ptr<X509_STORE, FreeWith<X509_STORE_free>> roots;
    std::vector<Key> keys;

    // The key of the chain's first certificate.
    Result<Key> follow(const json::Array& chain) const;
};

Result<Key> TrustedKeys::Store::follow(const json::Array& chain) const {
    if (chain.empty() || chain.size() > chain_limit) {
        return refuse("x5c is empty or too long");
    }
    Certificate first;
    std::unique_ptr<STACK_OF(X509), FreeWith<free_chain>> others(sk_X509_new_null());
    for (const json::Value& entry : chain) {
        if (!entry.is_string()) {
            return refuse("x5c is malformed");
        }
        const auto& text = entry.get_string();
        auto der = base64_decode({text.data(), text.size()});
        if (!der.ok()) {
            return refuse("x5c is malformed");
        }
        Certificate certificate = TRY(parse_der(*der));
        if (!first) {
            first = std::move(certificate);
        } else if (sk_X509_push(others.get(), certificate.get()) > 0) {
            [[maybe_unused]] X509* owned = certificate.release();
        }
    }
    std::unique_ptr<X509_STORE_CTX, FreeWith<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
    if (!context ||
        X509_STORE_CTX_init(context.get(), roots.get(), first.get(), others.get()) != 1 ||
        X509_verify_cert(context.get()) != 1) {
        return refuse("its certificate does not lead to a trusted one");
    }
    return Key(X509_get_pubkey(first.get()));
}

TrustedKeys::TrustedKeys(std::unique_ptr<Store> store)
    : store_(std::move(store)) {}

TrustedKeys::TrustedKeys(TrustedKeys&&) noexcept = default;
TrustedKeys& TrustedKeys::operator=(TrustedKeys&&) noexcept = default;
TrustedKeys::~TrustedKeys() = default;

Result<TrustedKeys> TrustedKeys::load(const std::string& pem_file) {
    std::string text = TRY(read_file(pem_file, bundle_limit));
    Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    auto store = std::make_unique<Store>();
    store->roots.reset(X509_STORE_new());
    if (!bio || !store->roots) {
        return internal_error("out of memory");
    }
    // A certificate that is trusted need not be a root: what it signed is trusted too.
    X509_STORE_set_flags(store->roots.get(), X509_V_FLAG_PARTIAL_CHAIN);
    while (Certificate certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
        X509_STORE_add_cert(store->roots.get(), certificate.get());
        if (Key key{X509_get_pubkey(certificate.get())}) {
            store->keys.push_back(std::move(key));
        }
    }
    if (store->keys.empty()) {
        return invalid_argument(pem_file + " has no certificate");
    }
    return TrustedKeys(std::move(store));
}

Result<json::Value> TrustedKeys::verify(std::string_view token) const {
    std::vector<std::string_view> parts = split(token, '.');
    if (token.size() > token_limit || parts.size() != 3) {
        return refuse("it is malformed");
    }
    std::vector<std::string> decoded;
    for (std::string_view part : parts) {
        auto bytes = base64_decode(part);
        if (!bytes.ok()) {
            return refuse("it is malformed");
        }
        decoded.push_back(std::move(*bytes));
    }
    auto header = json::parse(decoded[0], {.depth = 8, .bytes = token_limit});
    if (!header.ok() || !header->is_object()) {
        return refuse("its header is malformed");
    }
    std::string_view algorithm = json::find_string(*header, "alg");
    if (algorithm != "RS256" && algorithm != "ES256") {
        return refuse("it is signed with " + std::string(algorithm) + ", not RS256 or ES256");
    }
    if (json::find(*header, "crit") != nullptr) { // RFC 7515, 4.1.11: we know none of these
        return refuse("it has critical extensions");
    }
    std::string signature = algorithm == "ES256" ? TRY(to_der(decoded[2])) : std::move(decoded[2]);
    std::string_view text = token.substr(0, parts[0].size() + 1 + parts[1].size());
    bool right = false;
    if (const json::Value* chain = json::find(*header, "x5c"); chain && chain->is_array()) {
        Key key = TRY(store_->follow(chain->get_array()));
        right = key && fits(algorithm, key.get()) && is_signed_by(key.get(), text, signature);
    } else {
        for (const Key& key : store_->keys) {
            right =
                right || (fits(algorithm, key.get()) && is_signed_by(key.get(), text, signature));
        }
    }
    if (!right) {
        return refuse("its signature is not by a trusted key");
    }
    auto claims = json::parse(decoded[1], {.depth = 8, .bytes = token_limit});
    return claims.ok() && claims->is_object()
               ? std::move(claims)
               : Result<json::Value>(refuse("its claims are malformed"));
}

} // namespace berth::registry
