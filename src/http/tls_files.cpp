// SPDX-License-Identifier: Apache-2.0
// Certificates and keys as files.
#include "base/file.h"
#include "base/log.h"
#include "http/tls.h"

#include <utility>

#include <sys/stat.h>

namespace berth::http {

TlsFiles::TlsFiles(TlsOptions options)
    : options_(std::move(options))
    , version_(current_version()) {}

TlsFiles::Version TlsFiles::current_version() const {
    Version version{};
    std::size_t position = 0;
    for (const std::string* file : {&options_.certificate_file, &options_.key_file}) {
        struct stat status {};

        if (stat(file->c_str(), &status) == 0) {
            version[position] = status.st_mtim.tv_sec;
            version[position + 1] = status.st_mtim.tv_nsec;
        }
        position += 2;
    }
    return version;
}

Result<TlsMaterial> TlsFiles::read() const {
    constexpr std::size_t limit = 4U << 20; // bundles of all public authorities have 200 KiB
    TlsMaterial material{
        .certificate = {}, .key = {}, .client_ca = {}, .minimum = options_.minimum};
    material.certificate = {options_.certificate_file, {}};
    material.key = {options_.key_file, {}};
    material.client_ca = {options_.client_ca_file, {}};
    for (const auto& [part, what] :
         {std::pair(&material.certificate, "TLS certificate"),
          std::pair(&material.key, "TLS key"),
          std::pair(&material.client_ca, "certificates for TLS clients")}) {
        if (part == &material.client_ca && part->file.empty()) {
            continue;
        }
        auto pem = read_file(part->file, limit);
        if (!pem.ok()) {
            return invalid_argument(std::string(what) + ": " + pem.error().message());
        }
        part->pem = std::move(*pem);
    }
    return material;
}

void TlsFiles::refresh(const std::function<Result<void>(const TlsMaterial&)>& use) {
    constexpr std::chrono::seconds interval{1};
    if (Clock::now() - checked_ < interval) {
        return;
    }
    checked_ = Clock::now();
    const Version version = current_version();
    if (version == version_) {
        return;
    }
    auto fresh = read();
    auto used = fresh.ok() ? use(*fresh) : Result<void>(fresh.error());
    if (!used.ok()) {
        log::warn(
            "the changed TLS certificate cannot be used, retrying",
            {{"error", used.error().message()}});
        return;
    }
    version_ = version;
}

} // namespace berth::http
