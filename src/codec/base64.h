// SPDX-License-Identifier: Apache-2.0
// RFC 4648 base64, both alphabets. Go's clients send X-Registry-Auth URL-safe with or without
// padding, so decoding takes every variant.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace berth {

enum class Base64Alphabet : bool { Standard, UrlSafe };

// With padding.
std::string
base64_encode(std::string_view bytes, Base64Alphabet alphabet = Base64Alphabet::Standard);

// Either alphabet, padding optional, line breaks skipped; InvalidArgument for anything else.
Result<std::string> base64_decode(std::string_view text);

} // namespace berth
