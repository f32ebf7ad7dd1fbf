// SPDX-License-Identifier: Apache-2.0
// What a build tells of its work beside the classic builder's text: vertices, as BuildKit calls the
// lines of its progress.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::build {

// Called from the build's thread.
class BuildObserver {
  public:
    using Vertex = std::size_t;
    enum class Outcome : std::uint8_t { Done, Cached, Failed };

    BuildObserver() = default;
    BuildObserver(const BuildObserver&) = delete;
    BuildObserver& operator=(const BuildObserver&) = delete;
    virtual ~BuildObserver() = default;

    // One may begin within another.
    virtual Vertex begin(std::string name) = 0;
    virtual void log(Vertex vertex, std::string_view bytes) = 0;
    // error: of what failed, else "".
    virtual void end(Vertex vertex, Outcome outcome, std::string_view error) = 0;
    // Bytes moved so far for the innermost vertex; total 0: nobody knows.
    virtual void progress(std::string_view what, std::int64_t current, std::int64_t total) = 0;
};

} // namespace berth::build
