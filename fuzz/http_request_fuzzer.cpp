// SPDX-License-Identifier: Apache-2.0
// Heads and chunked bodies as the server reads them, in two pieces.
#include "http/parser.h"
#include "http/query.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
    auto kind = (data[0] & 1U) != 0 ? berth::http::MessageKind::Response
                                    : berth::http::MessageKind::Request;
    berth::http::Parser parser(kind, {.head_bytes = 4096, .header_fields = 32});
    std::size_t first = bytes.size() * (data[0] >> 1U) / 128;
    std::size_t consumed = 0;
    for (std::size_t end : {first, bytes.size()}) {
        while (!parser.head_done() && consumed < end) {
            auto step = parser.parse_head(bytes.substr(consumed, end - consumed));
            if (!step.ok()) {
                return 0;
            }
            consumed += *step;
            if (*step == 0) {
                break;
            }
        }
    }
    if (!parser.head_done()) {
        return 0;
    }
    (void)berth::http::Query::parse(parser.head().target);
    std::array<char, 7> out{};
    while (parser.head().chunked && !parser.chunks_done()) {
        auto step = parser.parse_chunks(bytes.substr(consumed), out);
        if (!step.ok() || (step->consumed == 0 && step->produced == 0)) {
            return 0;
        }
        consumed += step->consumed;
    }
    return 0;
}
