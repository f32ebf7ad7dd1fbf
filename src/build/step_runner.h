// SPDX-License-Identifier: Apache-2.0
// RUN: one command in a container of its own, on a working layer, through a monitor.
#pragma once

#include "base/result.h"
#include "build/builder.h"
#include "build/step_secrets.h"
#include "build/working_layer.h"
#include "oci/image_config.h"

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

struct RunCommand {
    std::vector<std::string> args;
    std::vector<std::string> env; // complete but for PATH, HOSTNAME and HOME
    std::string user;
    std::string working_dir;
    std::string network_mode;       // "default", "none", "host" or a network's name
    std::vector<oci::Mount> mounts; // of RUN --mount
    std::vector<LentMount> lent;    // secrets and agents
    std::string script;             // content of /dev/pipes/<script_name>; empty: none
    std::string script_name;
    StepLabels labels;
};

class StepRunner {
  public:
    using Output = std::function<void(std::string_view bytes)>;

    // client: nullptr where nobody lends anything.
    StepRunner(const BuilderOptions& options, const BuildRequest& request, ClientServices* client)
        : options_(options)
        , request_(request)
        , client_(client) {}

    // The exit code. Cancelled when stop was requested; the container is gone then, as after every
    // return.
    Result<int>
    run(std::stop_token stop,
        const WorkingLayer& layer,
        const RunCommand& command,
        const Output& output);

  private:
    struct Session;

    Result<void> connect_network(Session& session, const RunCommand& command);
    Result<void> write_files(Session& session);
    Result<void> label_files(const Session& session, const RunCommand& command);
    Result<std::string> make_config(Session& session, const RunCommand& command);
    Result<void>
    add_mounts(Session& session, const RunCommand& command, oci::RuntimeConfig& config);
    Result<int> run_session(std::stop_token stop, Session& session, const Output& output);

    const BuilderOptions& options_;
    const BuildRequest& request_;
    ClientServices* client_;
};

// What an engine that was killed left of a running step.
void remove_step_leftovers(const BuilderOptions& options, const std::string& id);

} // namespace berth::build
