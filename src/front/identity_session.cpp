// SPDX-License-Identifier: Apache-2.0
// Not one byte more than the identity is read: what follows is the server's.
#include "front/identity_session.h"

#include "front/protocol.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <sys/socket.h>

namespace berth::front {

// True when it is whole.
Result<bool> IdentitySession::take_received() {
    if (received_.size() == identity_size_bytes && wanted_ == 0) {
        wanted_ = TRY(identity_size(received_));
    }
    if (received_.size() < identity_size_bytes ||
        received_.size() < identity_size_bytes + wanted_) {
        return false;
    }
    const std::string bytes = std::exchange(received_, {});
    identity_ = TRY(decode_identity(std::string_view(bytes).substr(identity_size_bytes)));
    return true;
}

http::TlsSession::Step IdentitySession::handshake() {
    std::array<char, 4096> buffer;
    while (true) {
        const std::size_t missing = identity_size_bytes + wanted_ - received_.size();
        const ssize_t count =
            ::recv(end_.get(), buffer.data(), std::min(missing, buffer.size()), MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 && errno == EAGAIN) {
            return Step::WantsRead;
        }
        if (count <= 0) {
            return Step::Failed; // the front has told the client why
        }
        received_.append(buffer.data(), static_cast<std::size_t>(count));
        const auto whole = take_received();
        if (!whole.ok()) {
            return Step::Failed;
        }
        if (*whole) {
            established_ = true;
            return Step::Done;
        }
    }
}

ssize_t IdentitySession::receive(std::span<char> buffer) {
    return ::recv(end_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
}

ssize_t IdentitySession::send(std::string_view bytes) {
    return ::send(end_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

} // namespace berth::front
