// SPDX-License-Identifier: Apache-2.0
// libcurl's multi interface with a single transfer in it: the reader drives the transfer, and a
// full buffer pauses it.
#include "registry/curl_handle.h"

#include "base/strings.h"
#include "registry/curl_failure.h"
#include "registry/proxy.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::registry {

namespace {

constexpr std::size_t buffer_limit = 1U << 20;
constexpr long connect_seconds = 15;
constexpr long receive_bytes = 256L << 10; // of one recv(2); libcurl's own are 16 KiB and 64 KiB
constexpr long send_bytes = 512L << 10;
constexpr int upload_patience = 5; // a registry may take its time over what it was sent

CURLcode initialize_once() {
    static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    return code;
}

// Go prints the method of a failed request as "Get".
std::string title_case(std::string_view method) {
    std::string text = to_lower(method);
    if (!text.empty()) {
        text[0] = to_upper(text.substr(0, 1))[0];
    }
    return text;
}

std::string address_text(const curl_sockaddr& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address.addr);
        inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
        return std::string(text.data()) + ":" + std::to_string(ntohs(v4.sin_port));
    }
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.addr, std::min<std::size_t>(sizeof(v6), address.addrlen));
    inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
    curl_easy_setopt(easy, option, value);
}

} // namespace

Result<std::unique_ptr<CurlHandle>> CurlHandle::create() {
    std::unique_ptr<CurlHandle> handle(new CurlHandle());
    if (initialize_once() == CURLE_OK) {
        handle->multi_.reset(curl_multi_init());
        handle->easy_.reset(curl_easy_init());
    }
    if (!handle->multi_ || !handle->easy_) {
        return internal_error("libcurl cannot be initialized");
    }
    return handle;
}

CurlHandle::~CurlHandle() {
    finish();
}

std::size_t CurlHandle::on_header(char* data, std::size_t, std::size_t size, void* self) {
    auto& handle = *static_cast<CurlHandle*>(self);
    std::string_view line = trim(std::string_view(data, size));
    if (line.starts_with("HTTP/")) {
        handle.headers_ = {}; // of a redirect or a 100 Continue
        return size;
    }
    if (std::optional<Cut> field = cut(line, ":"); field && handle.headers_.size() < 256) {
        handle.headers_.add(std::string(trim(field->before)), std::string(trim(field->after)));
    }
    return size;
}

std::size_t CurlHandle::on_body(char* data, std::size_t, std::size_t size, void* self) {
    auto& handle = *static_cast<CurlHandle*>(self);
    if (handle.buffer_.size() - handle.position_ >= buffer_limit) {
        handle.paused_ = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    handle.buffer_.append(data, size);
    return size;
}

std::size_t CurlHandle::on_upload(char* data, std::size_t size, std::size_t count, void* self) {
    auto& handle = *static_cast<CurlHandle*>(self);
    auto got = handle.content_->read(std::span(data, size * count));
    if (!got.ok()) {
        handle.content_error_ = std::move(got).error();
        return CURL_READFUNC_ABORT;
    }
    return *got;
}

curl_socket_t CurlHandle::open_socket(void* self, curlsocktype, curl_sockaddr* address) {
    auto& handle = *static_cast<CurlHandle*>(self);
    // Of the addresses of a name Docker's users expect to see the IPv4 one.
    if (address->family == AF_INET || handle.dialled_.empty()) {
        handle.dialled_ = address_text(*address);
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void CurlHandle::set_body_options(const Outgoing& request) {
    CURL* easy = easy_.get();
    content_ = request.content;
    request_body_ = request.body;
    if (request.method == "HEAD") {
        set(easy, CURLOPT_NOBODY, 1L);
    } else if (content_ != nullptr) {
        set(easy, CURLOPT_UPLOAD, 1L);
        set(easy, CURLOPT_READFUNCTION, &CurlHandle::on_upload);
        set(easy, CURLOPT_READDATA, this);
        set(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.content_length));
        set(easy, CURLOPT_CUSTOMREQUEST, method_.c_str());
    } else if (request.method != "GET") {
        set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_body_.size()));
        set(easy, CURLOPT_POSTFIELDS, request_body_.c_str());
        set(easy, CURLOPT_CUSTOMREQUEST, method_.c_str());
    }
}

void CurlHandle::set_tls_options(const Outgoing& request) {
    CURL* easy = easy_.get();
    if (request.verify == VerifyTls::No) {
        set(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        set(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    tls_ = request.tls;
    if (!tls_) {
        return;
    }
    if (!tls_->authorities.empty()) {
        // Takes the place of the system's bundle; its folder of hashed names stays in use.
        curl_blob authorities{
            .data = const_cast<char*>(tls_->authorities.data()), // not written to
            .len = tls_->authorities.size(),
            .flags = CURL_BLOB_NOCOPY};
        set(easy, CURLOPT_CAINFO_BLOB, &authorities);
        set(easy, CURLOPT_CAPATH, "/etc/ssl/certs");
    }
    if (!tls_->certificate_file.empty()) {
        set(easy, CURLOPT_SSLCERT, tls_->certificate_file.c_str());
        set(easy, CURLOPT_SSLKEY, tls_->key_file.c_str());
    }
}

Result<void>
CurlHandle::prepare(const Outgoing& request, const std::string& user_agent, std::stop_token stop) {
    CURL* easy = easy_.get();
    curl_easy_reset(easy);
    stop_ = std::move(stop);
    method_ = request.method;
    requested_url_ = request.url;
    dialled_.clear();
    curl_slist* list = nullptr;
    for (const http::Headers::Field& field : request.headers) {
        list = curl_slist_append(list, (field.name + ": " + field.value).c_str());
    }
    for (const char* unwanted : {"Expect:", "Transfer-Encoding:"}) {
        list = curl_slist_append(list, unwanted);
    }
    header_list_.reset(list);
    set(easy, CURLOPT_URL, request.url.c_str());
    set(easy, CURLOPT_HTTPHEADER, list);
    set(easy, CURLOPT_USERAGENT, user_agent.c_str());
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_BUFFERSIZE, receive_bytes);
    set(easy, CURLOPT_UPLOAD_BUFFERSIZE, send_bytes);
    set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    bool follow = request.follow_redirects && (method_ == "GET" || method_ == "HEAD");
    set(easy, CURLOPT_FOLLOWLOCATION, follow ? 1L : 0L);
    set(easy, CURLOPT_MAXREDIRS, redirect_limit);
    set(easy, CURLOPT_CONNECTTIMEOUT, connect_seconds);
    stalled_ = request.content == nullptr ? request.stalled : request.stalled * upload_patience;
    set(easy, CURLOPT_LOW_SPEED_LIMIT, slowest);
    set(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(stalled_.count()));
    set(easy, CURLOPT_ERRORBUFFER, error_text_.data());
    set(easy, CURLOPT_HEADERFUNCTION, &CurlHandle::on_header);
    set(easy, CURLOPT_HEADERDATA, this);
    set(easy, CURLOPT_WRITEFUNCTION, &CurlHandle::on_body);
    set(easy, CURLOPT_WRITEDATA, this);
    set(easy, CURLOPT_OPENSOCKETFUNCTION, &CurlHandle::open_socket);
    set(easy, CURLOPT_OPENSOCKETDATA, this);
    set_tls_options(request);
    Proxy proxy = proxy_for(request.url);
    set(easy, CURLOPT_PROXY, proxy.url.c_str()); // "" keeps libcurl from looking itself
    set(easy, CURLOPT_NOPROXY, proxy.exceptions.c_str());
    set_body_options(request);
    if (curl_multi_add_handle(multi_.get(), easy) != CURLM_OK) {
        return internal_error("libcurl does not take the transfer");
    }
    attached_ = true;
    return ok();
}

Error CurlHandle::failure(CURLcode code) const {
    if (content_error_) {
        return *content_error_;
    }
    long error_number = 0;
    curl_off_t connect_time = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &error_number);
    curl_easy_getinfo(easy_.get(), CURLINFO_CONNECT_TIME_T, &connect_time);
    std::string text = failure_text(
        {.code = code,
         .text = error_text_.data(),
         .url = requested_url_,
         .dialled = dialled_,
         .error_number = static_cast<int>(error_number),
         .connected = connect_time > 0 || dialled_.empty(), // an old connection
         .stalled = stalled_});
    return Error(
        ErrorKind::Unavailable, title_case(method_) + " \"" + requested_url_ + "\": " + text);
}

// Lets libcurl work until something happened.
Result<void> CurlHandle::step() {
    if (error_) {
        return *error_;
    }
    if (stop_.stop_requested()) {
        error_ = Error(ErrorKind::Cancelled, "context canceled");
        return *error_;
    }
    int running = 0;
    curl_multi_perform(multi_.get(), &running);
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
        if (message->msg == CURLMSG_DONE) {
            done_ = true;
            if (message->data.result != CURLE_OK) {
                error_ = failure(message->data.result);
            }
        }
    }
    if (!done_ && position_ == buffer_.size()) {
        // Woken early by the stop callback in run_until_head() and read().
        curl_multi_poll(multi_.get(), nullptr, 0, 1000, nullptr);
    }
    return ok();
}

Result<void> CurlHandle::run_until_head() {
    std::stop_callback wake(stop_, [this] { curl_multi_wakeup(multi_.get()); });
    while (!done_ && buffer_.empty()) {
        TRY(step());
    }
    if (error_ && buffer_.empty()) {
        return *error_;
    }
    long status = 0;
    char* url = nullptr;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy_.get(), CURLINFO_EFFECTIVE_URL, &url);
    status_ = static_cast<unsigned>(status);
    url_ = url != nullptr ? url : requested_url_;
    return ok();
}

Result<std::size_t> CurlHandle::read(std::span<char> buffer) {
    if (position_ == buffer_.size() && !done_) {
        std::stop_callback wake(stop_, [this] { curl_multi_wakeup(multi_.get()); });
        while (position_ == buffer_.size() && !done_) {
            buffer_.clear();
            position_ = 0;
            if (paused_) {
                paused_ = false;
                curl_easy_pause(easy_.get(), CURLPAUSE_CONT);
            }
            TRY(step());
        }
    }
    std::size_t count = std::min(buffer.size(), buffer_.size() - position_);
    if (count == 0 && error_ && !buffer.empty()) {
        return *error_;
    }
    std::copy_n(buffer_.data() + position_, count, buffer.data());
    position_ += count;
    return count;
}

bool CurlHandle::finish() {
    bool clean = done_ && !error_;
    if (attached_) {
        curl_multi_remove_handle(multi_.get(), easy_.get());
    }
    attached_ = false;
    paused_ = false;
    done_ = false;
    error_.reset();
    content_error_.reset();
    content_ = nullptr;
    status_ = 0;
    headers_ = {};
    buffer_ = {};
    position_ = 0;
    return clean;
}

} // namespace berth::registry
