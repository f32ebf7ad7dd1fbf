// SPDX-License-Identifier: Apache-2.0
// berth-front: encrypts and frames what clients of the engine send and get. Started by the engine,
// not by people.
#include "base/log.h"
#include "front/carrier.h"

#include <cstdlib>
#include <span>
#include <string_view>

namespace {

berth::Result<void> run(std::span<char* const> arguments) {
    if (arguments.size() != 2 || arguments[1] != berth::front::protocol_version) {
        return berth::invalid_argument("berthd starts it, of the same version");
    }
    TRY(berth::front::become_front());
    TRY(berth::front::Carrier::create(berth::UniqueFd(berth::front::control_fd)))->run();
    return berth::ok();
}

} // namespace

int main(int argc, char** argv) {
    const auto result = run(std::span<char* const>(argv, static_cast<std::size_t>(argc)));
    if (!result.ok()) {
        berth::log::error("berth-front failed", {{"error", result.error().message()}});
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
