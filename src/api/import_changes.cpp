// SPDX-License-Identifier: Apache-2.0
// After moby's builder/dockerfile/builder.go (BuildFromConfig): the changes are one Dockerfile.
#include "api/import_changes.h"

#include "base/strings.h"
#include "build/config_instructions.h"
#include "build/dockerfile.h"
#include "build/dockerfile_lines.h"

namespace berth::api {

namespace {

constexpr char escape = '\\';

bool is_change_command(std::string_view keyword) {
    for (const std::string_view known :
         {"cmd",
          "entrypoint",
          "healthcheck",
          "env",
          "expose",
          "label",
          "onbuild",
          "stopsignal",
          "user",
          "volume",
          "workdir"}) {
        if (to_lower(keyword) == known) {
            return true;
        }
    }
    return false;
}

} // namespace

Result<ChangedConfig>
apply_changes(oci::ContainerDefaults base, const std::vector<std::string>& changes) {
    ChangedConfig changed{.config = std::move(base), .sets_entrypoint = false};
    const build::LogicalLines lines = TRY(build::split_lines(join(changes, "\n"), escape));
    for (const build::LogicalLine& line : lines.lines) {
        const std::string keyword = build::split_command(line.text, escape).keyword;
        if (!is_change_command(keyword)) {
            return invalid_argument(keyword + " is not a valid change command");
        }
    }
    bool cmd_set = false;
    for (const build::LogicalLine& line : lines.lines) {
        const build::Instruction change = TRY(build::parse_instruction(line.text, escape));
        TRY(build::apply_to_config(
            change, {changed.config, cmd_set}, build::variables_of(changed.config), escape));
        changed.sets_entrypoint |= change.keyword == build::Keyword::Entrypoint;
    }
    return changed;
}

} // namespace berth::api
