// SPDX-License-Identifier: Apache-2.0
// The instructions that docker import --change and docker commit --change take.
#include "api/import_changes.h"

#include "base/strings.h"
#include "build/dockerfile.h"
#include "build/word_expansion.h"

namespace berth::api {

namespace {

using build::Instruction;
using build::Keyword;

constexpr char escape = '\\';

// Applies instructions to a configuration, each seeing the ENV of those before it.
class ChangeApplier {
  public:
    Result<void> apply(const std::string& text) {
        const Instruction change = TRY(build::parse_instruction(text));
        switch (change.keyword) {
        case Keyword::Cmd:
            config.cmd = command(change);
            return ok();
        case Keyword::Entrypoint:
            config.entrypoint = command(change);
            return ok();
        case Keyword::Env:
            return set_environment(change);
        case Keyword::Label:
            return set_labels(change);
        case Keyword::Expose:
            return add_ports(change);
        case Keyword::Volume:
            return add_volumes(change);
        case Keyword::User:
            config.user = TRY(expand(first(change)));
            return ok();
        case Keyword::Workdir:
            return set_directory(change);
        case Keyword::StopSignal:
            config.stop_signal = TRY(expand(first(change)));
            return ok();
        case Keyword::OnBuild:
            config.on_build.push_back(first(change));
            return ok();
        case Keyword::Healthcheck:
        case Keyword::Add:
        case Keyword::Arg:
        case Keyword::Copy:
        case Keyword::From:
        case Keyword::Maintainer:
        case Keyword::Run:
        case Keyword::Shell:
            return invalid_argument(
                to_lower(build::to_string(change.keyword)) + " is not a valid change command");
        }
        return internal_error("an instruction without a keyword");
    }

    oci::ContainerDefaults config;

  private:
    static std::string first(const Instruction& change) {
        return change.arguments.empty() ? "" : change.arguments.front();
    }

    static std::vector<std::string> command(const Instruction& change) {
        if (change.is_json) {
            return change.arguments;
        }
        return {"/bin/sh", "-c", join(change.arguments, " ")};
    }

    Result<std::string> expand(const std::string& text) const {
        return build::expand_word(text, variables_, escape);
    }

    Result<void> set_environment(const Instruction& change) {
        for (const build::Assignment& assignment : change.assignments) {
            const std::string name = TRY(expand(assignment.name));
            const std::string value = TRY(expand(assignment.value.value_or("")));
            std::erase_if(config.env, [&name](const std::string& entry) {
                return entry.starts_with(name + "=");
            });
            config.env.push_back(name + "=" + value);
            variables_[name] = value;
        }
        return ok();
    }

    Result<void> set_labels(const Instruction& change) {
        for (const build::Assignment& assignment : change.assignments) {
            const std::string name = TRY(expand(assignment.name));
            config.labels[name] = TRY(expand(assignment.value.value_or("")));
        }
        return ok();
    }

    Result<void> add_ports(const Instruction& change) {
        for (const std::string& argument : change.arguments) {
            const std::string port = TRY(expand(argument));
            config.exposed_ports[port.find('/') == std::string::npos ? port + "/tcp" : port];
        }
        return ok();
    }

    Result<void> add_volumes(const Instruction& change) {
        for (const std::string& argument : change.arguments) {
            config.volumes[change.is_json ? argument : TRY(expand(argument))];
        }
        return ok();
    }

    Result<void> set_directory(const Instruction& change) {
        const std::string path = TRY(expand(first(change)));
        config.working_dir =
            clean_path(path.starts_with('/') ? path : config.working_dir + "/" + path);
        return ok();
    }

    build::Variables variables_;
};

} // namespace

Result<oci::ContainerDefaults> parse_changes(const std::vector<std::string>& changes) {
    ChangeApplier applier;
    for (const std::string& change : changes) {
        TRY(applier.apply(change));
    }
    return std::move(applier.config);
}

} // namespace berth::api
