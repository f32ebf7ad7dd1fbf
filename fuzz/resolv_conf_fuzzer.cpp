// SPDX-License-Identifier: Apache-2.0
// The host's resolv.conf and the text forms of addresses.
#include "network/resolv_conf.h"

#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const berth::network::ResolvConf conf = berth::network::parse_resolv_conf(text);
    // What we write, we read the same.
    const std::string written = berth::network::format_resolv_conf(conf);
    if (berth::network::format_resolv_conf(berth::network::parse_resolv_conf(written)) != written) {
        __builtin_trap();
    }
    static_cast<void>(berth::network::container_resolv_conf(text, {}));
    static_cast<void>(berth::kernel::IpPrefix::parse(text).ok());
    static_cast<void>(berth::kernel::MacAddress::parse(text).ok());
    return 0;
}
