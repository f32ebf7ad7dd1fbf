// SPDX-License-Identifier: Apache-2.0
// A TLS session that the front has, as the engine's server sees it: its handshake is that the front
// tells who the client is. Internal to this library.
#pragma once

#include "base/unique_fd.h"
#include "http/tls.h"

#include <string>

namespace berth::front {

class IdentitySession final : public http::TlsSession {
  public:
    explicit IdentitySession(FdRef end)
        : end_(end) {}

    Step handshake() override;

    bool established() const override { return established_; }

    http::TlsIdentity peer() const override { return identity_; }

    ssize_t receive(std::span<char> buffer) override;
    ssize_t send(std::string_view bytes) override;

    bool has_pending() const override { return false; }

    void finish() override {}

    bool leaves_plain_bytes() const override { return true; }

  private:
    Result<bool> take_received();

    FdRef end_;
    std::string received_;
    std::size_t wanted_ = 0; // behind the size; known once that is there
    http::TlsIdentity identity_;
    bool established_ = false;
};

} // namespace berth::front
