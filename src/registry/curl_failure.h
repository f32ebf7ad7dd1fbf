// SPDX-License-Identifier: Apache-2.0
// Why a transfer failed, in the words of Go's net/http that Docker's users know. Internal to
// curl_handle.cpp.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <string>
#include <string_view>

namespace berth::registry {

struct TransferFailure {
    CURLcode code = CURLE_OK;
    std::string_view text; // libcurl's own
    std::string_view url;
    std::string_view dialled; // "127.0.0.1:5000", the last address that was tried
    int error_number = 0;
    bool connected = false;
    std::chrono::seconds stalled{0}; // how long next to nothing came, when that was the reason
};

std::string failure_text(const TransferFailure& failure);

// "host" or "host:port" of a URL.
std::string authority_of(std::string_view url);

inline constexpr long redirect_limit = 10;
inline constexpr long slowest = 128; // bytes a second

} // namespace berth::registry
