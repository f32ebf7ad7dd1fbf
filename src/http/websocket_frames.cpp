// SPDX-License-Identifier: Apache-2.0
// Frames of a websocket. A head has 2 to 14 bytes and may come in pieces; a control frame is at
// most 125 bytes long and is held until it is whole.
// https://www.rfc-editor.org/rfc/rfc6455#section-5
#include "http/websocket.h"

#include <algorithm>
#include <utility>

namespace berth::http {

namespace {

constexpr std::uint8_t final_bit = 0x80;
constexpr std::uint8_t reserved_bits = 0x70;
constexpr std::uint8_t mask_bit = 0x80;
constexpr std::uint8_t control_bit = 0x08;
constexpr std::size_t control_limit = 125;

enum Opcode : std::uint8_t {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
};

std::uint8_t byte_at(std::string_view bytes, std::size_t position) {
    return static_cast<std::uint8_t>(bytes[position]);
}

// Of the head that begins like this.
std::size_t head_size(std::string_view head) {
    if (head.size() < 2) {
        return 2;
    }
    const unsigned length = byte_at(head, 1) & 0x7fU;
    const std::size_t mask = (byte_at(head, 1) & mask_bit) != 0 ? 4 : 0;
    return 2 + (length == 126 ? 2U : length == 127 ? 8U : 0U) + mask;
}

std::string make_frame(std::uint8_t opcode, std::string_view payload) {
    std::string frame;
    frame.reserve(payload.size() + 10);
    frame += static_cast<char>(final_bit | opcode);
    const auto big_endian = [&frame](std::uint64_t value, int bytes) {
        for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
            frame += static_cast<char>(value >> static_cast<unsigned>(shift) & 0xffU);
        }
    };
    if (payload.size() <= control_limit) {
        frame += static_cast<char>(payload.size());
    } else if (payload.size() <= 0xffff) {
        frame += static_cast<char>(126);
        big_endian(payload.size(), 2);
    } else {
        frame += static_cast<char>(127);
        big_endian(payload.size(), 8);
    }
    return frame.append(payload);
}

} // namespace

std::string Websocket::frame(std::string_view bytes) const {
    return make_frame(kind_ == Kind::Text ? Text : Binary, bytes);
}

std::string Websocket::close_frame() const {
    return close_frame(Code::Normal);
}

std::string Websocket::close_frame(Code code) {
    const auto number = static_cast<std::uint16_t>(code);
    return make_frame(
        Close, std::string{static_cast<char>(number >> 8U), static_cast<char>(number & 0xffU)});
}

void Websocket::fail(Input& input) {
    closed_ = true;
    input.reply += close_frame(Code::ProtocolError);
}

std::size_t Websocket::take_head(std::string_view bytes) {
    std::size_t taken = 0;
    while (head_.size() < head_size(head_) && taken < bytes.size()) {
        const std::size_t count = std::min(head_size(head_) - head_.size(), bytes.size() - taken);
        head_ += bytes.substr(taken, count);
        taken += count;
    }
    return taken;
}

// Reads the whole head; false for one that breaks the rules.
bool Websocket::begin_frame() {
    const std::uint8_t first = byte_at(head_, 0);
    const std::uint8_t second = byte_at(head_, 1);
    const bool is_final = (first & final_bit) != 0;
    opcode_ = first & 0x0fU;
    left_ = second & 0x7fU;
    std::size_t position = 2;
    if (left_ >= 126) {
        const std::size_t end = position + (left_ == 126 ? 2U : 8U);
        for (left_ = 0; position < end; ++position) {
            left_ = left_ << 8U | byte_at(head_, position);
        }
    }
    const bool is_masked = (second & mask_bit) != 0;
    const bool is_control = (opcode_ & control_bit) != 0;
    const bool is_known = opcode_ <= Binary || (is_control && opcode_ <= Pong);
    // A client must mask what it sends (5.1); no extension was agreed on (5.2).
    if ((first & reserved_bits) != 0 || !is_masked || !is_known || left_ >> 63U != 0) {
        return false;
    }
    if (is_control) {
        if (!is_final || left_ > control_limit) {
            return false; // 5.5
        }
    } else {
        if ((opcode_ == Continuation) != in_message_) {
            return false; // 5.4
        }
        in_message_ = !is_final;
    }
    for (std::uint8_t& byte : mask_) {
        byte = byte_at(head_, position++);
    }
    position_ = 0;
    in_frame_ = true;
    head_.clear();
    return true;
}

void Websocket::end_control_frame(Input& input) {
    const std::string payload = std::exchange(control_, {});
    if (opcode_ == Ping) {
        input.reply += make_frame(Pong, payload);
    } else if (opcode_ == Close) {
        closed_ = true;
        // A code comes back as it came; a payload of one byte holds none (5.5.1).
        input.reply += payload.size() == 1 ? close_frame(Code::ProtocolError)
                                           : make_frame(Close, payload.substr(0, 2));
    }
}

Websocket::Input Websocket::receive(std::string_view bytes) {
    Input input;
    while (!closed_) {
        if (!in_frame_) {
            bytes.remove_prefix(take_head(bytes));
            if (head_.size() < head_size(head_)) {
                break;
            }
            if (!begin_frame()) {
                fail(input);
                break;
            }
        }
        const bool is_control = (opcode_ & control_bit) != 0;
        std::string& target = is_control ? control_ : input.data;
        const std::size_t count = std::min<std::uint64_t>(left_, bytes.size());
        for (const char byte : bytes.substr(0, count)) {
            target += static_cast<char>(static_cast<std::uint8_t>(byte) ^ mask_[position_++ % 4]);
        }
        bytes.remove_prefix(count);
        left_ -= count;
        if (left_ > 0) {
            break;
        }
        in_frame_ = false;
        if (is_control) {
            end_control_frame(input);
        }
    }
    return input;
}

} // namespace berth::http
