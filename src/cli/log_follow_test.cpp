// SPDX-License-Identifier: Apache-2.0
// A stream that is cut anywhere and begun again at its last bookmark gives each byte once.
#include "cli/log_follow.h"

#include <gtest/gtest.h>

#include <map>

namespace berth::cli {
namespace {

struct Piece {
    io::Stream stream;
    std::string bytes;
};

const std::vector<Piece> pieces = {
    {io::Stream::Stdout, "one\n"},
    {io::Stream::Stderr, "two\n"},
    {io::Stream::Stdout, "thr"},
    {io::Stream::Stdout, "ee\n"},
};

// What an engine sends that is asked to begin behind so many pieces.
std::string from(std::size_t first) {
    std::string bytes;
    io::append_frame(bytes, io::Stream::Bookmark, std::to_string(first));
    for (std::size_t i = first; i < pieces.size(); ++i) {
        io::append_frame(bytes, pieces[i].stream, pieces[i].bytes);
        io::append_frame(bytes, io::Stream::Bookmark, std::to_string(i + 1));
    }
    return bytes;
}

class Collected {
  public:
    BookmarkedOutput output{[this](io::Stream stream, std::string_view bytes) -> Result<void> {
        text_[stream] += bytes;
        return ok();
    }};

    bool is_complete() const {
        return text_.at(io::Stream::Stdout) == "one\nthree\n" &&
               text_.at(io::Stream::Stderr) == "two\n";
    }

    void feed_again(std::size_t length) {
        output.begin_again();
        const std::string& bookmark = output.bookmark();
        const std::string bytes = from(bookmark.empty() ? 0 : std::stoul(bookmark));
        ASSERT_TRUE(output.feed(std::string_view(bytes).substr(0, length)).ok());
    }

  private:
    std::map<io::Stream, std::string> text_;
};

TEST(BookmarkedOutput, GivesEachByteOnceWhereverItIsCut) {
    const std::size_t size = from(0).size();
    for (std::size_t first = 0; first <= size; ++first) {
        for (std::size_t second = 0; second <= size; second += 3) {
            Collected collected;
            collected.feed_again(first);
            collected.feed_again(second);
            collected.feed_again(size);
            EXPECT_TRUE(collected.is_complete()) << first << " " << second;
        }
    }
}

} // namespace
} // namespace berth::cli
