// SPDX-License-Identifier: Apache-2.0
// Detach keys, as github.com/moby/term's ascii.go and proxy.go read them.
#include "io/detach_keys.h"

#include "base/strings.h"

namespace berth::io {
namespace {

// "ctrl-a" is 1 to "ctrl-z" 26; the five signs follow in ASCII's order; "ctrl-@" is 0.
bool parse_key(std::string_view key, std::string& out) {
    if (key.size() == 1) {
        out += key[0];
        return true;
    }
    if (key == "DEL") {
        out += '\x7f';
        return true;
    }
    constexpr std::string_view prefix = "ctrl-";
    if (key.size() != prefix.size() + 1 || !key.starts_with(prefix)) {
        return false;
    }
    const std::size_t code = std::string_view("@abcdefghijklmnopqrstuvwxyz[\\]^_").find(key.back());
    if (code == std::string_view::npos) {
        return false;
    }
    out += static_cast<char>(code);
    return true;
}

} // namespace

Result<std::string> parse_detach_keys(std::string_view text) {
    std::string sequence;
    for (const std::string_view key : split(text.empty() ? default_detach_keys : text, ',')) {
        if (sequence.size() == detach_keys_limit || !parse_key(key, sequence)) {
            return invalid_argument("Invalid detach keys (" + std::string(text) + ") provided");
        }
    }
    return sequence;
}

DetachKeyFilter::Filtered DetachKeyFilter::feed(std::string_view typed) {
    Filtered result;
    if (sequence_.empty()) {
        result.bytes = typed;
        return result;
    }
    for (const char byte : typed) {
        if (byte != sequence_[matched_] && matched_ > 0) {
            result.bytes.append(sequence_, 0, matched_);
            matched_ = 0;
        }
        if (byte != sequence_[matched_]) {
            result.bytes += byte;
        } else if (++matched_ == sequence_.size()) {
            result.detached = true;
            break;
        }
    }
    return result;
}

} // namespace berth::io
