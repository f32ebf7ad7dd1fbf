// SPDX-License-Identifier: Apache-2.0
// Files of this machine as a tar, and tars unpacked here, for `cp`.
#pragma once

#include "base/result.h"
#include "cli/copy_paths.h"
#include "codec/stream.h"

#include <memory>
#include <string>

namespace berth::cli {

// What is at the path, with all below it, under the planned names; owners, modes, times, links,
// devices and capabilities stay. Sockets are left out.
Result<std::unique_ptr<ByteSource>> open_local_archive(const CopyEnd& source, const CopyPlan& plan);

// Into the plan's directory. The archive comes from a container and is not trusted: no name in it
// leads out of the directory, neither by ".." nor over links. Owners are the caller's.
Result<void> extract_local(ByteSource& archive, const CopyPlan& plan);

} // namespace berth::cli
