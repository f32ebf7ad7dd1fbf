// SPDX-License-Identifier: Apache-2.0
// Requests to the registry's server, head and body, against a real one in memory (a tmpfs):
// whatever comes is answered, once, and nothing gets out of its tree.
#include "base/file.h"
#include "base/verify.h"
#include "http/query.h"
#include "registry/server.h"
#include "registry/server/byte_range.h"
#include "registry/server/negotiation.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth {

namespace {

class Answer final : public http::ResponseWriter {
  public:
    unsigned status = 0;
    std::string location;

    Result<void> respond(unsigned code, http::Headers headers, std::string_view) override {
        VERIFY(status == 0);
        status = code;
        location = headers.get("Location");
        return ok();
    }

    Result<void> begin(unsigned code, http::Headers headers) override {
        return respond(code, std::move(headers), {});
    }

    Result<void> write(std::string_view) override { return ok(); }

    Result<void> finish() override { return ok(); }

    Result<void>
    send_file(unsigned code, http::Headers headers, FdRef, std::uint64_t, std::uint64_t) override {
        return respond(code, std::move(headers), {});
    }

    Result<std::shared_ptr<http::Stream>>
    into_stream(unsigned, http::Headers, http::StreamOptions) override {
        return not_implemented("no stream");
    }

    Result<http::Hijacked> hijack() override { return not_implemented("no hijack"); }

    bool begun() const override { return status != 0; }
};

struct World {
    TemporaryDirectory folder = std::move(TemporaryDirectory::create("/dev/shm")).value();
    std::unique_ptr<registry::Server> server =
        std::move(registry::Server::open(folder.path() + "/root")).value();
    http::Handler handler = server->handler();
};

std::string_view take_line(std::string_view& rest) {
    std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return line;
}

// "METHOD target", header lines, an empty line, the body. "@" as target goes on with the upload
// that was begun before.
void ask(World& world, std::string_view text, std::string& location) {
    http::Request request;
    std::string_view first = take_line(text);
    std::size_t space = first.find(' ');
    request.method = first.substr(0, space);
    std::string target(
        space == std::string_view::npos ? std::string_view() : first.substr(space + 1));
    if (target.starts_with("@")) {
        target = location + target.substr(1);
    }
    request.target = target;
    std::size_t question = target.find('?');
    auto path = http::percent_decode(std::string_view(target).substr(0, question));
    auto query = http::Query::parse(
        question == std::string::npos ? std::string_view()
                                      : std::string_view(target).substr(question + 1));
    if (!path.ok() || !query.ok() || path->find('\0') != std::string::npos) {
        return; // the HTTP server refuses these
    }
    request.path = *path;
    request.query = *query;
    for (std::string_view line = take_line(text); !line.empty(); line = take_line(text)) {
        std::size_t colon = line.find(':');
        if (colon != std::string_view::npos) {
            request.headers.add(
                std::string(line.substr(0, colon)), std::string(line.substr(colon + 1)));
        }
    }
    StringSource source{std::string(text)};
    http::Body body(source, text.size(), 1U << 20);
    Answer answer;
    world.handler({}, request, body, answer);
    VERIFY(answer.status >= 200 && answer.status < 600);
    if (answer.status == 202 && !answer.location.empty()) {
        location = answer.location;
    }
}

void run(std::string_view text) {
    static World world;
    auto range = registry::parse_range(text, 1000);
    if (range.ok() && *range) {
        VERIFY((*range)->first <= (*range)->last && (*range)->last < 1000);
    }
    if (auto piece = registry::parse_content_range(text); piece.ok()) {
        VERIFY(piece->length() > 0);
    }
    http::Headers headers;
    headers.add("Accept", std::string(text));
    [[maybe_unused]] bool takes = registry::AcceptedTypes::of(headers).takes("a/b");
    std::string location = "/v2/a/blobs/uploads/none";
    while (!text.empty()) {
        std::size_t end = text.find("\n\n\n");
        ask(world, text.substr(0, end), location);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 3);
    }
}

} // namespace

} // namespace berth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // SAFETY: bytes are read as characters.
    berth::run(std::string_view(reinterpret_cast<const char*>(data), size));
    return 0;
}
