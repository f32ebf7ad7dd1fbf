// SPDX-License-Identifier: Apache-2.0
// Listening sockets, Unix and TCP. Internal to this library.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/tls.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sys/types.h>

namespace berth::http {

// Non-blocking. Removes the file of a Unix socket when it goes.
class Listener {
  public:
    static Result<Listener>
    open_unix(const std::string& path, mode_t mode, std::optional<gid_t> group);
    static Result<Listener> open_tcp(std::string_view address);
    static Result<Listener> adopt(UniqueFd socket);

    Listener(Listener&& other) noexcept;
    Listener& operator=(Listener&&) = delete;
    ~Listener();

    const UniqueFd& fd() const { return fd_; }

    bool is_unix() const { return unix_; }

    std::uint16_t port() const { return port_; }

    // For connections that leave the machine; see hold_back_pacing. Empty: they have theirs.
    const std::string& congestion_control() const { return congestion_control_; }

    // nullptr: its connections have none.
    const TlsContext* tls() const { return tls_.get(); }

    void use_tls(std::shared_ptr<TlsContext> context) { tls_ = std::move(context); }

  private:
    Listener(UniqueFd fd, bool is_unix)
        : fd_(std::move(fd))
        , unix_(is_unix) {}

    UniqueFd fd_;
    std::string remove_path_; // empty: not ours
    ino_t inode_ = 0;         // of that file: another server may have replaced it
    std::shared_ptr<TlsContext> tls_;
    std::string congestion_control_;
    std::uint16_t port_ = 0;
    bool unix_;
};

} // namespace berth::http
