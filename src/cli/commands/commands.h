// SPDX-License-Identifier: Apache-2.0
// The functions behind the command table, one file a family.
#pragma once

#include "cli/command.h"

namespace berth::cli::commands {

// run.cpp
Result<int> run(Session& session, const Invocation& invocation);
Result<int> create(Session& session, const Invocation& invocation);
// artifacts.cpp
Result<int> artifact_ls(Session& session, const Invocation& invocation);
Result<int> artifact_pull(Session& session, const Invocation& invocation);
Result<int> artifact_push(Session& session, const Invocation& invocation);
// attach.cpp
Result<int> start(Session& session, const Invocation& invocation);
Result<int> attach(Session& session, const Invocation& invocation);
Result<int> exec(Session& session, const Invocation& invocation);
// containers.cpp
Result<int> ps(Session& session, const Invocation& invocation);
Result<int> logs(Session& session, const Invocation& invocation);
Result<int> port(Session& session, const Invocation& invocation);
Result<int> port_add(Session& session, const Invocation& invocation);
Result<int> update(Session& session, const Invocation& invocation);
Result<int> port_rm(Session& session, const Invocation& invocation);
Result<int> top(Session& session, const Invocation& invocation);
// container_actions.cpp
Result<int> stop(Session& session, const Invocation& invocation);
Result<int> restart(Session& session, const Invocation& invocation);
Result<int> kill(Session& session, const Invocation& invocation);
Result<int> pause(Session& session, const Invocation& invocation);
Result<int> unpause(Session& session, const Invocation& invocation);
Result<int> rename(Session& session, const Invocation& invocation);
Result<int> rm(Session& session, const Invocation& invocation);
Result<int> wait(Session& session, const Invocation& invocation);
// container_files.cpp
Result<int> commit(Session& session, const Invocation& invocation);
Result<int> export_container(Session& session, const Invocation& invocation);
Result<int> diff(Session& session, const Invocation& invocation);
// copy.cpp
Result<int> cp(Session& session, const Invocation& invocation);
// images.cpp
Result<int> images(Session& session, const Invocation& invocation);
Result<int> history(Session& session, const Invocation& invocation);
Result<int> tag(Session& session, const Invocation& invocation);
Result<int> rmi(Session& session, const Invocation& invocation);
Result<int> pull(Session& session, const Invocation& invocation);
Result<int> push(Session& session, const Invocation& invocation);
// archives.cpp
Result<int> load(Session& session, const Invocation& invocation);
Result<int> save(Session& session, const Invocation& invocation);
Result<int> import(Session& session, const Invocation& invocation);
Result<int> bootstrap(Session& session, const Invocation& invocation);
// login.cpp
Result<int> login(Session& session, const Invocation& invocation);
Result<int> logout(Session& session, const Invocation& invocation);
// build.cpp
Result<int> build(Session& session, const Invocation& invocation);
// inspect.cpp
Result<int> inspect(Session& session, const Invocation& invocation);
Result<int> inspect_container(Session& session, const Invocation& invocation);
Result<int> inspect_image(Session& session, const Invocation& invocation);
Result<int> inspect_network(Session& session, const Invocation& invocation);
Result<int> inspect_volume(Session& session, const Invocation& invocation);
// prune.cpp
Result<int> container_prune(Session& session, const Invocation& invocation);
Result<int> image_prune(Session& session, const Invocation& invocation);
Result<int> network_prune(Session& session, const Invocation& invocation);
Result<int> volume_prune(Session& session, const Invocation& invocation);
Result<int> builder_prune(Session& session, const Invocation& invocation);
Result<int> system_prune(Session& session, const Invocation& invocation);
// disk_usage.cpp
Result<int> system_df(Session& session, const Invocation& invocation);
Result<int> system_check(Session& session, const Invocation& invocation);
// resources.cpp
Result<int> network_ls(Session& session, const Invocation& invocation);
// networks.cpp
Result<int> network_create(Session& session, const Invocation& invocation);
Result<int> network_rm(Session& session, const Invocation& invocation);
Result<int> network_connect(Session& session, const Invocation& invocation);
Result<int> network_disconnect(Session& session, const Invocation& invocation);
Result<int> volume_ls(Session& session, const Invocation& invocation);
Result<int> volume_create(Session& session, const Invocation& invocation);
Result<int> volume_rm(Session& session, const Invocation& invocation);
// volumes.cpp
Result<int> volume_export(Session& session, const Invocation& invocation);
Result<int> volume_import(Session& session, const Invocation& invocation);
Result<int> volume_clone(Session& session, const Invocation& invocation);
Result<int> mount_add(Session& session, const Invocation& invocation);
Result<int> mount_rm(Session& session, const Invocation& invocation);
// search.cpp
Result<int> search(Session& session, const Invocation& invocation);

// stats.cpp
Result<int> stats(Session& session, const Invocation& invocation);
// system.cpp
Result<int> version(Session& session, const Invocation& invocation);
Result<int> info(Session& session, const Invocation& invocation);
Result<int> events(Session& session, const Invocation& invocation);
Result<int> registry(Session& session, const Invocation& invocation);

} // namespace berth::cli::commands
