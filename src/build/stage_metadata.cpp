// SPDX-License-Identifier: Apache-2.0
// Instructions that change the configuration. What they write into the history is what moby's
// builder/dockerfile/dispatchers.go writes.
#include "base/strings.h"
#include "build/config_instructions.h"
#include "build/stage_executor.h"

namespace berth::build {

Result<void> StageExecutor::run_arg(const Instruction& instruction) {
    std::vector<std::string> shown;
    for (const Assignment& argument : instruction.assignments) {
        const std::string name = TRY(expand(argument.name));
        job_.use_argument(name);
        std::optional<std::string> value;
        if (argument.value) {
            value = TRY(expand(*argument.value));
        }
        shown.push_back(value ? name + "=" + *value : name);
        const auto given = job_.request().build_args.find(name);
        const auto global = job_.global_args().find(name);
        if (given != job_.request().build_args.end() && given->second) {
            value = *given->second;
        } else if (!value && global != job_.global_args().end()) {
            value = global->second;
        }
        if (value) {
            state_.args[name] = *value;
        }
    }
    return commit_metadata(" ARG " + join(shown, " "));
}

Result<void> StageExecutor::run_config(const Instruction& instruction) {
    const std::string comment = TRY(apply_to_config(
        instruction, {state_.image.config, state_.cmd_set}, variables(), job_.escape()));
    return commit_metadata(comment);
}

Result<void> StageExecutor::run_maintainer(const Instruction& instruction) {
    state_.image.author = TRY(expand(instruction.arguments[0]));
    return commit_metadata(" MAINTAINER " + state_.image.author);
}

} // namespace berth::build
