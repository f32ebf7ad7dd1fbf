// SPDX-License-Identifier: Apache-2.0
// A procfs that is proven to be one. Files below it are opened without following links and without
// leaving the file system, so that nothing mounted over them can redirect a write.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <string>
#include <string_view>

namespace berth::kernel {

class Procfs {
  public:
    // The caller's /proc.
    static Result<Procfs> open();

    // Fails unless `directory` is the root of a procfs.
    static Result<Procfs> adopt(UniqueFd directory);

    // `path` is relative, as "sys/net/ipv4/ip_forward" or "self/attr/exec"; a leading "self/" is
    // the calling process.
    Result<void> write(std::string_view path, std::string_view bytes) const;
    Result<std::string> read(std::string_view path) const;

  private:
    explicit Procfs(UniqueFd root)
        : root_(std::move(root)) {}

    Result<UniqueFd> open_below(std::string_view path, int flags) const;

    UniqueFd root_;
};

} // namespace berth::kernel
