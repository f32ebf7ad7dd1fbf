// SPDX-License-Identifier: Apache-2.0
// Pieces of 64 KiB: few calls, and what is held stays small.
#include "api/array_reply.h"

#include "api/context.h"

namespace berth::api {
namespace {

constexpr std::size_t piece_bytes = 64U << 10;

} // namespace

Result<void> ArrayReply::send_piece() {
    if (!response_.begun()) {
        TRY(response_.begin(200, json_headers()));
    }
    return response_.write(piece_);
}

std::string& ArrayReply::begin_element() {
    if (piece_.size() >= piece_bytes) {
        if (sent_.ok()) {
            sent_ = send_piece();
        }
        piece_.clear();
    }
    piece_ += std::exchange(has_elements_, true) ? ',' : '[';
    return piece_;
}

Result<void> ArrayReply::finish() {
    TRY(std::move(sent_));
    piece_ += has_elements_ ? "]\n" : "[]\n";
    if (!response_.begun()) {
        return response_.respond(200, json_headers(), piece_);
    }
    TRY(response_.write(piece_));
    return response_.finish();
}

} // namespace berth::api
