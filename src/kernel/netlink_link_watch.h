// SPDX-License-Identifier: Apache-2.0
// Notices interfaces that go: bridges, and what has a label (ip-link(8): alias), that somebody
// deletes. The kernel drops all other news before they wake anybody: each container's start and end
// makes many. Not thread-safe.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstddef>
#include <set>
#include <span>

namespace berth::kernel {

struct LinkNews {
    std::set<int> removed;   // interfaces, by number
    bool incomplete = false; // the kernel could not keep all of it: others may be gone, too
};

class LinkWatch {
  public:
    enum class Scope : std::uint8_t {
        Removals, // of bridges and of what has a label
        All,      // any change of any interface; all but the above are news without a number
    };

    // Of the calling thread's network namespace.
    static Result<LinkWatch> open();

    Result<void> set_scope(Scope scope);

    // Readable when there are news.
    FdRef fd() const { return socket_; }

    // Reads what waits, without waiting.
    Result<LinkNews> read_news();

  private:
    explicit LinkWatch(UniqueFd socket)
        : socket_(std::move(socket)) {}

    UniqueFd socket_;
};

// Adds what a notification's messages tell; exposed for fuzzing.
void note_links(std::span<const std::byte> buffer, LinkNews& news);

} // namespace berth::kernel
