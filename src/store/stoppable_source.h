// SPDX-License-Identifier: Apache-2.0
// A source that ends with Cancelled once a stop was requested.
#pragma once

#include "codec/stream.h"

#include <span>
#include <stop_token>
#include <string>
#include <utility>

namespace berth::store {

class StoppableSource final : public ByteSource {
  public:
    // `what` is cancelled: "importing". The source must outlive this object.
    StoppableSource(ByteSource& source, std::stop_token stop, std::string what)
        : source_(source)
        , stop_(std::move(stop))
        , what_(std::move(what)) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        if (stop_.stop_requested()) {
            return Error(ErrorKind::Cancelled, what_ + " was cancelled");
        }
        return source_.read(buffer);
    }

  private:
    ByteSource& source_;
    std::stop_token stop_;
    std::string what_;
};

} // namespace berth::store
