// SPDX-License-Identifier: Apache-2.0
// Messages of the monitor protocol. What can be decoded is encoded to the same bytes, except that a
// boolean may come as any byte.
#include "monitor/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string bytes(data, data + size);
    if (bytes.size() < berth::monitor::message_header_size) {
        return 0;
    }
    const auto header = berth::monitor::decode_header(
        std::string_view(bytes).substr(0, berth::monitor::message_header_size));
    if (!header.ok()) {
        return 0;
    }
    const std::string_view body =
        std::string_view(bytes).substr(berth::monitor::message_header_size);
    const auto request = berth::monitor::decode_request(*header, body);
    if (request.ok()) {
        (void)berth::monitor::encode(*request, header->request, header->descriptors);
    }
    const auto notice = berth::monitor::decode_notice(*header, body);
    if (notice.ok()) {
        (void)berth::monitor::encode(*notice, header->request);
    }
    return 0;
}
