// SPDX-License-Identifier: Apache-2.0
// One libcurl transfer and the connections it leaves behind. Internal to transport.cpp.
#pragma once

#include "registry/transport.h"

#include <curl/curl.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace berth::registry {

class CurlHandle {
  public:
    static Result<std::unique_ptr<CurlHandle>> create();
    ~CurlHandle();

    // Prepares; run_until_head() starts.
    Result<void> prepare(const Outgoing& request, const std::string& user_agent, std::stop_token);
    Result<void> run_until_head();
    Result<std::size_t> read(std::span<char> buffer);
    // Ends the transfer, whatever its state; true when its connection may be used again.
    bool finish();

    unsigned status() const { return status_; }

    const http::Headers& headers() const { return headers_; }

    const std::string& url() const { return url_; }

  private:
    struct FreeEasy {
        void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
    };

    struct FreeMulti {
        void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
    };

    struct FreeList {
        void operator()(curl_slist* list) const { curl_slist_free_all(list); }
    };

    CurlHandle() = default;

    static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self);
    static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self);
    static std::size_t on_upload(char* data, std::size_t size, std::size_t count, void* self);
    static curl_socket_t open_socket(void* self, curlsocktype, curl_sockaddr* address);

    void set_body_options(const Outgoing& request);
    void set_tls_options(const Outgoing& request);
    Result<void> step();
    Error failure(CURLcode code) const;

    std::unique_ptr<CURLM, FreeMulti> multi_;
    std::unique_ptr<CURL, FreeEasy> easy_;
    std::unique_ptr<curl_slist, FreeList> header_list_;
    std::stop_token stop_;
    std::array<char, CURL_ERROR_SIZE> error_text_{};
    std::string method_;
    std::string requested_url_;
    std::string request_body_;
    std::string dialled_; // the last address that was tried
    std::shared_ptr<const TlsMaterial> tls_;
    std::chrono::seconds stalled_{0};
    ByteSource* content_ = nullptr;
    std::optional<Error> content_error_;

    unsigned status_ = 0;
    http::Headers headers_;
    std::string url_;
    std::string buffer_;
    std::size_t position_ = 0;
    bool attached_ = false;
    bool paused_ = false;
    bool done_ = false;
    std::optional<Error> error_;
};

} // namespace berth::registry
