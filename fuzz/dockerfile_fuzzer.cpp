// SPDX-License-Identifier: Apache-2.0
// Dockerfiles: parsing, and the expansion of every word in them.
#include "build/dockerfile.h"
#include "build/word_expansion.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const berth::build::Variables variables{{"A", "x y"}, {"B", ""}};
    const auto dockerfile = berth::build::parse_dockerfile(std::string(data, data + size));
    if (!dockerfile.ok()) {
        return 0;
    }
    for (const auto& stage : dockerfile->stages) {
        for (const auto& instruction : stage.instructions) {
            for (const auto& argument : instruction.arguments) {
                (void)berth::build::expand_words(argument, variables, dockerfile->escape).ok();
            }
        }
    }
    return 0;
}
