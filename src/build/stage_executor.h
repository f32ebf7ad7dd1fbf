// SPDX-License-Identifier: Apache-2.0
// The steps of one stage: each takes the state's image to the next. Instructions that only change
// the configuration are in stage_metadata.cpp, files in stage_files.cpp, RUN in stage_run.cpp.
#pragma once

#include "base/result.h"
#include "build/build_job.h"
#include "build/dockerfile.h"
#include "build/tree_copier.h"
#include "store/layer_store.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::build {

struct RunCommand; // step_runner.h

class StageExecutor {
  public:
    // All references outlive the object.
    StageExecutor(BuildJob& job, StageState& state, std::size_t stage)
        : job_(job)
        , state_(state)
        , stage_(stage) {}

    Result<void> run(const Instruction& instruction);

  private:
    // stage_metadata.cpp
    Result<void> run_arg(const Instruction& instruction);
    Result<void> run_config(const Instruction& instruction);
    Result<void> run_maintainer(const Instruction& instruction);

    // stage_files.cpp
    struct CopyPlan;
    Result<void> run_copy(const Instruction& instruction);
    Result<void> run_workdir(const Instruction& instruction);
    Result<void> plan_copy(const Instruction& instruction, CopyPlan& plan);
    Result<void> add_sources(const Instruction& instruction, CopyPlan& plan);
    Result<std::string>
    add_remote(const Instruction& instruction, const std::string& url, CopyPlan& plan);
    Result<void> perform_copy(const CopyPlan& plan, const WorkingLayer& layer);
    Result<CopyOptions> copy_options(const CopyPlan& plan, const WorkingLayer& layer) const;

    // stage_run.cpp
    struct RunPlan;
    Result<void> run_command(const Instruction& instruction);
    Result<void> plan_mounts(const Instruction& instruction, RunPlan& plan);
    Result<void> plan_mount(const std::string& text, RunPlan& plan);
    Result<void> plan_lent_mount(const std::string& text, RunPlan& plan);
    Result<void> plan_script(const Instruction& instruction, RunPlan& plan);
    Result<store::LayerInfo> run_in_layer(RunCommand command);

    // Shared.
    Variables variables() const;
    Result<std::string> expand(const std::string& text) const;
    std::vector<std::string> shell() const;
    // "/bin/sh -c #(nop)  " and the comment: how Docker writes what is no command.
    std::string no_operation(const std::string& comment) const;
    std::string step_key(const std::string& created_by, const std::string& inputs = {}) const;
    Result<bool> use_cached(const std::string& key);
    Result<void> finish_step(
        const std::string& key,
        const std::string& created_by,
        const std::optional<store::LayerInfo>& layer);
    // A step without files of its own.
    Result<void> commit_metadata(const std::string& comment);

    BuildJob& job_;
    StageState& state_;
    std::size_t stage_;
};

} // namespace berth::build
