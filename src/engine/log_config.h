// SPDX-License-Identifier: Apache-2.0
// The logging drivers by name, their options in Docker's words, and the files that a container's
// output is written to. docs/logging.md.
#pragma once

#include "base/result.h"
#include "engine/container_config.h"
#include "engine/daemon_config.h"
#include "io/log_output.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

struct ContainerDefinition;
struct LogInfo;

// "local"; under dockerd's name "json-file", where other programs look for those files.
std::string default_log_driver(const DaemonConfig& daemon);

// Fills in the daemon's driver and options. InvalidArgument in dockerd's words; NotImplemented for
// drivers that this engine does not have.
Result<void> complete_log_config(LogConfig& log, const DaemonConfig& daemon);

// Sorted, as /info shows them.
std::vector<std::string> log_driver_names();

// The output is handed on to another program; the files are then what `docker logs` reads.
bool is_remote_log_driver(std::string_view type);

// `docker logs` has nothing to read: none, or remote with cache-disabled.
bool is_log_readable(const LogConfig& log);

// Rotated files are compressed.
bool compresses_log(const LogConfig& log);

// `directory` is the container's.
std::string log_files_directory(const std::string& directory);
io::LogOptions
log_output_options(const LogConfig& log, const std::string& id, const std::string& directory);

// What an inspect shows: the file, or the folder of files; empty where there is none.
std::string log_path(const LogConfig& log, const std::string& id, const std::string& directory);

// Before a start: what the writer of the files needs to know.
Result<void>
prepare_log_files(const LogInfo& info, const LogConfig& log, const std::string& directory);

} // namespace berth::engine
