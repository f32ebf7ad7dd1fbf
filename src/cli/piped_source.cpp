// SPDX-License-Identifier: Apache-2.0
// The pipe's size is all that is buffered.
#include "cli/piped_source.h"

#include "base/unique_fd.h"

#include <thread>

namespace berth::cli {

namespace {

class PipedSource final : public ByteSource {
  public:
    PipedSource(std::function<Result<void>(ByteSink&)> writer, Pipe pipe)
        : read_end_(std::move(pipe.read_end))
        , source_(FdRef(read_end_))
        , thread_([this, write = std::move(writer), end = std::move(pipe.write_end)]() mutable {
            FdSink sink(std::move(end));
            result_ = write(sink);
        }) {}

    ~PipedSource() override {
        // A writer that waits for room in the pipe gets EPIPE.
        read_end_.reset();
    }

    Result<std::size_t> read(std::span<char> buffer) override {
        std::size_t got = TRY(source_.read(buffer));
        if (got == 0 && !buffer.empty()) {
            if (thread_.joinable()) {
                thread_.join();
            }
            TRY(result_);
        }
        return got;
    }

  private:
    UniqueFd read_end_;
    FdSource source_;
    Result<void> result_;
    std::jthread thread_;
};

} // namespace

Result<std::unique_ptr<ByteSource>>
open_piped_source(std::function<Result<void>(ByteSink& sink)> writer) {
    return std::unique_ptr<ByteSource>(
        std::make_unique<PipedSource>(std::move(writer), TRY(Pipe::create())));
}

} // namespace berth::cli
