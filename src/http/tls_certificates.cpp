// SPDX-License-Identifier: Apache-2.0
// From memory: OpenSSL's own functions for whole chains take files only.
#include "http/tls_certificates.h"

#include "base/free_with.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

namespace berth::http {

namespace {

// A daemon has nobody to ask for a key's password.
int no_password(char*, int, int, void*) {
    return 0;
}

using Bio = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;

// Its bytes must outlive it.
Bio reader_of(const TlsMaterial::Part& part) {
    return Bio(BIO_new_mem_buf(part.pem.data(), static_cast<int>(part.pem.size())));
}

void free_infos(STACK_OF(X509_INFO) * infos) {
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
}

} // namespace

// After SSL_CTX_use_certificate_chain_file(3), which takes files only.
bool use_chain(SSL_CTX* context, const TlsMaterial::Part& part) {
    const Bio bio = reader_of(part);
    const Certificate own(PEM_read_bio_X509_AUX(bio.get(), nullptr, no_password, nullptr));
    if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) {
        return false;
    }
    while (Certificate next{PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr)}) {
        if (SSL_CTX_add0_chain_cert(context, next.get()) != 1) {
            return false;
        }
        [[maybe_unused]] X509* its = next.release();
    }
    // The end looks like one more certificate without a beginning.
    const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return ended;
}

bool use_key(SSL_CTX* context, const TlsMaterial::Part& part) {
    const Bio bio = reader_of(part);
    const std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>> key(
        PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
    return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1 &&
           SSL_CTX_check_private_key(context) == 1;
}

// Certificates, and lists of such that were revoked, as X509_load_cert_crl_file(3) takes them.
bool use_client_ca(SSL_CTX* context, const TlsMaterial::Part& part) {
    const Bio bio = reader_of(part);
    const std::unique_ptr<STACK_OF(X509_INFO), FreeWith<free_infos>> infos(
        PEM_X509_INFO_read_bio(bio.get(), nullptr, no_password, nullptr));
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    int found = 0;
    for (int i = 0; i < sk_X509_INFO_num(infos.get()); ++i) {
        const X509_INFO* info = sk_X509_INFO_value(infos.get(), i);
        if (info->x509 != nullptr) {
            if (X509_STORE_add_cert(store, info->x509) != 1 ||
                SSL_CTX_add_client_CA(context, info->x509) != 1) {
                return false;
            }
            ++found;
        }
        if (info->crl != nullptr && X509_STORE_add_crl(store, info->crl) != 1) {
            return false;
        }
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return found > 0;
}

} // namespace berth::http
