// SPDX-License-Identifier: Apache-2.0
// What clients send on a websocket: however it is cut, it is the same stream and gets the same
// answers.
#include "http/websocket.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using berth::http::Websocket;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    Websocket at_once(Websocket::Kind::Binary);
    const Websocket::Input whole = at_once.receive(bytes);
    Websocket in_pieces(Websocket::Kind::Binary);
    std::string stream;
    std::string replies;
    for (const char byte : bytes) {
        const Websocket::Input piece = in_pieces.receive({&byte, 1});
        stream += piece.data;
        replies += piece.reply;
    }
    if (stream != whole.data || replies != whole.reply || at_once.closed() != in_pieces.closed()) {
        std::abort();
    }
    return 0;
}
