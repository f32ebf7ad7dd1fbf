// SPDX-License-Identifier: Apache-2.0
// passwd, group and user names of a hostile image: "spec\0passwd\0group".
#include "runtime/user.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    auto next = [&text] {
        std::size_t end = text.find('\0');
        std::string_view part = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        return part;
    };
    std::string_view spec = next();
    std::string_view passwd = next();
    (void)berth::runtime::resolve_user_in(passwd, text, spec, {"audio", "5"});
    (void)berth::runtime::home_of(passwd, 1000);
    return 0;
}
