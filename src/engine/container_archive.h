// SPDX-License-Identifier: Apache-2.0
// docker cp: what is at a path of a container, as a tar, and tars unpacked there. The container may
// run, and exchange what leads to the path while it is walked.
#pragma once

#include "engine/containers.h"
#include "engine/core.h"

#include <functional>
#include <stop_token>
#include <string>

namespace berth::engine {

// `asked_as` is the container's name in errors.
class ContainerArchive {
  public:
    ContainerArchive(Core& core, ContainerPtr container, std::string asked_as)
        : core_(core)
        , container_(std::move(container))
        , asked_as_(std::move(asked_as)) {}

    Result<PathStat> stat(const std::string& path) const;
    // `begin` is called once, before the first byte.
    Result<void>
    read(std::stop_token stop, const std::string& path, const ArchiveBegin& begin, ByteSink& sink)
        const;
    Result<void> write(std::stop_token stop, const ArchiveTarget& target, ByteSource& source) const;

  private:
    // Docker's words for what is not there, Go's for the rest.
    Error path_error(const Error& error, std::string_view call, const std::string& path) const;

    Core& core_;
    ContainerPtr container_;
    std::string asked_as_;
};

} // namespace berth::engine
