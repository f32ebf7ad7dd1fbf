// SPDX-License-Identifier: Apache-2.0
// A document ends where its outermost brace closes; strings are skipped over.
#include "cli/document_stream.h"

#include <array>

namespace berth::cli {

namespace {

constexpr std::size_t document_limit = 64U << 20;

}

Result<std::optional<json::Value>> DocumentStream::next() {
    while (true) {
        for (; scanned_ < buffer_.size(); ++scanned_) {
            char c = buffer_[scanned_];
            if (in_string_) {
                in_string_ = escaped_ || c != '"';
                escaped_ = !escaped_ && c == '\\';
                continue;
            }
            if (c == '"') {
                in_string_ = true;
            } else if (c == '{' || c == '[') {
                ++depth_;
            } else if ((c == '}' || c == ']') && --depth_ == 0) {
                std::string document = buffer_.substr(0, scanned_ + 1);
                buffer_.erase(0, scanned_ + 1);
                scanned_ = 0;
                return std::optional(TRY(json::parse(document)));
            }
        }
        if (buffer_.size() > document_limit) {
            return Error(
                ErrorKind::ResourceExhausted, "the daemon sent a document of more than 64 MiB");
        }
        std::array<char, 16384> chunk;
        std::size_t got = TRY(source_.read(chunk));
        if (got == 0) {
            if (depth_ != 0) {
                return Error(ErrorKind::DataLoss, "the connection ended inside a message");
            }
            return std::optional<json::Value>();
        }
        buffer_.append(chunk.data(), got);
    }
}

} // namespace berth::cli
