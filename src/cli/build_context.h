// SPDX-License-Identifier: Apache-2.0
// A folder as the tar stream that POST /build takes, made while it is sent.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/stream.h"

#include <memory>
#include <string>

namespace berth::cli {

struct BuildContextOptions {
    std::string folder;
    std::string dockerfile; // content to add under dockerfile_name; "" adds nothing
    std::string dockerfile_name;
    bool obey_ignore_file = true;
};

// Owners are dropped (root), as docker does; modes, times and links stay. What .dockerignore names
// is left out, where it is obeyed. Sockets are skipped. The source ends with an error when a file
// cannot be read.
Result<std::unique_ptr<ByteSource>> open_build_context(const BuildContextOptions& options);

// What a client is given in place of a folder: an archive, compressed or not, goes out as it is,
// and anything else is a Dockerfile, alone in its archive. `dockerfile` is the name of the one in
// an archive; "" is the default. The owner of input must outlive the source.
Result<std::unique_ptr<ByteSource>> open_given_context(FdRef input, const std::string& dockerfile);

} // namespace berth::cli
