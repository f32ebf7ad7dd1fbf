// SPDX-License-Identifier: Apache-2.0
// A handle keeps its connections, so a pool of handles is a pool of connections.
#include "registry/transport.h"

#include "registry/curl_handle.h"

namespace berth::registry {

namespace {

constexpr std::size_t idle_limit = 8;

} // namespace

Exchange::Exchange(std::unique_ptr<CurlHandle> handle)
    : handle_(std::move(handle)) {}

Exchange::~Exchange() {
    if (handle_->finish()) {
        give_back_(std::move(handle_));
    }
}

unsigned Exchange::status() const {
    return handle_->status();
}

const http::Headers& Exchange::headers() const {
    return handle_->headers();
}

const std::string& Exchange::url() const {
    return handle_->url();
}

Result<std::size_t> Exchange::read(std::span<char> buffer) {
    return handle_->read(buffer);
}

Result<std::string> Exchange::read_body(std::size_t limit) {
    return read_to_end(*this, limit);
}

Transport::Transport(std::string user_agent)
    : user_agent_(std::move(user_agent)) {}

Transport::~Transport() = default;

Result<std::unique_ptr<Exchange>> Transport::send(std::stop_token stop, const Outgoing& request) {
    std::unique_ptr<CurlHandle> handle;
    {
        auto guard = idle_.lock();
        if (!guard->empty()) {
            handle = std::move(guard->back());
            guard->pop_back();
        }
    }
    if (!handle) {
        handle = TRY(CurlHandle::create());
    }
    TRY(handle->prepare(request, user_agent_, std::move(stop)));
    TRY(handle->run_until_head());
    auto exchange = std::unique_ptr<Exchange>(new Exchange(std::move(handle)));
    exchange->give_back_ = [this](std::unique_ptr<CurlHandle> free) {
        auto guard = idle_.lock();
        if (guard->size() < idle_limit) {
            guard->push_back(std::move(free));
        }
    };
    return exchange;
}

} // namespace berth::registry
