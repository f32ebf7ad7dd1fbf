// SPDX-License-Identifier: Apache-2.0
// What all steps share: variables, cache keys, commits.
#include "build/stage_executor.h"

#include "base/strings.h"
#include "build/config_instructions.h"
#include "codec/sha256.h"

#include <algorithm>

namespace berth::build {

Result<void> StageExecutor::run(const Instruction& instruction) {
    switch (instruction.keyword) {
    case Keyword::Add:
    case Keyword::Copy:
        return run_copy(instruction);
    case Keyword::Arg:
        return run_arg(instruction);
    case Keyword::Maintainer:
        return run_maintainer(instruction);
    case Keyword::Run:
        return run_command(instruction);
    case Keyword::Workdir:
        return run_workdir(instruction);
    case Keyword::Cmd:
    case Keyword::Entrypoint:
    case Keyword::Env:
    case Keyword::Expose:
    case Keyword::Healthcheck:
    case Keyword::Label:
    case Keyword::OnBuild:
    case Keyword::Shell:
    case Keyword::StopSignal:
    case Keyword::User:
    case Keyword::Volume:
        return run_config(instruction);
    case Keyword::From:
        break;
    }
    return internal_error("FROM within a stage");
}

Variables StageExecutor::variables() const {
    Variables variables = variables_of(state_.image.config);
    // The environment wins.
    variables.insert(state_.args.begin(), state_.args.end());
    return variables;
}

Result<std::string> StageExecutor::expand(const std::string& text) const {
    return expand_word(text, variables(), job_.escape());
}

std::vector<std::string> StageExecutor::shell() const {
    return shell_of(state_.image.config);
}

std::string StageExecutor::no_operation(const std::string& comment) const {
    return join(shell(), " ") + " #(nop) " + comment;
}

// The configuration is part of the key: what a step makes of it can depend on earlier lines
// (ENTRYPOINT keeps a CMD of this Dockerfile only).
std::string
StageExecutor::step_key(const std::string& created_by, const std::string& inputs) const {
    oci::ImageConfig basis = state_.image;
    basis.created = {};
    basis.history.clear();
    basis.parent.clear();
    const std::string config = basis.serialize();
    std::string text;
    for (const std::string_view part :
         {std::string_view(state_.image_id.to_string()),
          std::string_view(created_by),
          std::string_view(inputs),
          std::string_view(config)}) {
        text += std::to_string(part.size()) + ":";
        text += part;
    }
    return sha256_hex(text);
}

Result<bool> StageExecutor::use_cached(const std::string& key) {
    if (job_.request().no_cache) {
        return false;
    }
    auto step = TRY(job_.database().find_step(key));
    if (!step) {
        return false;
    }
    // Held first, asked second: it cannot go in between.
    if (!step->chain_id.empty()) {
        job_.lease().add_layer(step->chain_id);
        if (!job_.store().layers().contains(step->chain_id)) {
            return false;
        }
    }
    state_.image = TRY(oci::ImageConfig::parse(step->config_json));
    state_.image_id = step->image;
    state_.chain_id = step->chain_id;
    state_.config_json = std::move(step->config_json);
    TRY(job_.database().use_step(key));
    job_.set_cached();
    job_.output(" ---> Using cache\n");
    return true;
}

Result<void> StageExecutor::finish_step(
    const std::string& key,
    const std::string& created_by,
    const std::optional<store::LayerInfo>& layer) {
    oci::ImageConfig& image = state_.image;
    image.created = Timestamp::now();
    image.history.push_back(
        {.created = image.created,
         .created_by = created_by,
         .author = image.author,
         .empty_layer = !layer});
    if (layer) {
        image.rootfs.diff_ids.push_back(layer->diff_id);
        state_.chain_id = layer->chain_id;
    }
    image.parent.clear();
    image.container.clear();
    image.comment.clear();
    CachedStep step{
        .key = key,
        .image = {},
        .parent = state_.image_id,
        .chain_id = state_.chain_id,
        .has_layer = layer.has_value(),
        .config_json = image.serialize(),
        .description = created_by,
        .created = image.created,
        .used = image.created};
    step.image = oci::Digest::of(step.config_json);
    TRY(job_.database().put_step(step));
    state_.image_id = step.image;
    state_.config_json = std::move(step.config_json);
    return ok();
}

Result<void> StageExecutor::commit_metadata(const std::string& comment) {
    const std::string created_by = no_operation(comment);
    const std::string key = step_key(created_by);
    const bool cached = TRY(use_cached(key));
    return cached ? ok() : finish_step(key, created_by, std::nullopt);
}

} // namespace berth::build
