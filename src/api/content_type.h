// SPDX-License-Identifier: Apache-2.0
// The content type that a client likes best of those that an answer may have.
#pragma once

#include <span>
#include <string_view>

namespace berth::api {

// https://www.rfc-editor.org/rfc/rfc9110#field.accept. Of equal ones the more exactly named, then
// the first of `offers`; `fallback` when the client names none of them.
std::string_view negotiate_content_type(
    std::string_view accept, std::span<const std::string_view> offers, std::string_view fallback);

} // namespace berth::api
