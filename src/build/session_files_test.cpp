// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "build/proto/session.pb.h"
#include "build/session_files.h"

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::build {

namespace {

constexpr std::uint32_t go_directory = 1U << 31;
constexpr std::uint32_t go_link = 1U << 27;
constexpr std::uint32_t go_device = 1U << 26;

session::Packet entry(const std::string& path, std::uint32_t mode, const std::string& link = "") {
    session::Packet packet;
    packet.set_type(session::Packet_Type_STAT);
    packet.mutable_stat()->set_path(path);
    packet.mutable_stat()->set_mode(mode);
    packet.mutable_stat()->set_linkname(link);
    packet.mutable_stat()->set_mod_time(1'000'000'000'500'000'000);
    return packet;
}

session::Packet data(std::uint32_t id, const std::string& bytes) {
    session::Packet packet;
    packet.set_type(session::Packet_Type_DATA);
    packet.set_id(id);
    packet.set_data(bytes);
    return packet;
}

session::Packet packet_of(session::Packet_Type type) {
    session::Packet packet;
    packet.set_type(type);
    return packet;
}

// Says what it was told to say, whatever it is asked.
class Script final : public RpcChannel {
  public:
    class Stream final : public RpcStream {
      public:
        explicit Stream(Script& script)
            : script_(script) {}

        bool write(std::string_view message) override {
            session::Packet packet;
            EXPECT_TRUE(packet.ParseFromString(std::string(message)));
            script_.received.push_back(packet);
            return true;
        }

        bool read(std::string& message) override {
            if (script_.packets.empty()) {
                return false;
            }
            message = script_.packets.front().SerializeAsString();
            script_.packets.pop_front();
            return true;
        }

        void end_writes() override {}

        Result<void> finish() override { return ok(); }

        void cancel() override { script_.cancelled = true; }

      private:
        Script& script_;
    };

    std::unique_ptr<RpcStream> open(
        const std::string&,
        const RpcMetadata& metadata,
        std::optional<std::chrono::milliseconds>) override {
        asked = metadata;
        return std::make_unique<Stream>(*this);
    }

    std::deque<session::Packet> packets;
    std::vector<session::Packet> received;
    RpcMetadata asked;
    bool cancelled = false;
};

class SessionFiles : public testing::Test {
  protected:
    Result<void> receive(std::deque<session::Packet> packets, FilesLimits limits = {}) {
        auto script = std::make_unique<Script>();
        script->packets = std::move(packets);
        script_ = script.get();
        session_.emplace(SessionInfo{.id = "one", .name = {}, .methods = {}}, std::move(script));
        directory_.emplace(TemporaryDirectory::create("/tmp").value());
        EXPECT_TRUE(make_directories(path("root")).ok());
        const UniqueFd root = open_file(path("root"), O_PATH | O_DIRECTORY).value();
        return receive_files(
            {},
            *session_,
            {.directory = "context", .include = {}, .exclude = {"a", "ü"}, .follow = {}},
            root,
            limits,
            {});
    }

    std::string refusal(std::deque<session::Packet> packets, FilesLimits limits = {}) {
        const auto outcome = receive(std::move(packets), limits);
        EXPECT_TRUE(script_->cancelled);
        return outcome.ok() ? "" : outcome.error().message();
    }

    std::string path(const std::string& name) const { return directory_->path() + "/" + name; }

    std::optional<TemporaryDirectory> directory_;
    std::optional<ClientSession> session_;
    Script* script_ = nullptr;
};

} // namespace

TEST_F(SessionFiles, AreMadeAsTheClientHasThem) {
    ASSERT_TRUE(receive({entry("dir", go_directory | 0750U),
                         entry("dir/file", 0640),
                         entry("dir/link", go_link | 0777U, "/etc/passwd"),
                         entry("hard", 0640, "dir/file"),
                         data(1, "con"),
                         packet_of(session::Packet_Type_STAT),
                         data(1, "tent"),
                         data(1, ""),
                         packet_of(session::Packet_Type_FIN)})
                    .ok());
    EXPECT_EQ(read_file(path("root/hard")).value(), "content");

    struct stat status {};

    ASSERT_EQ(stat(path("root/dir/file").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode, S_IFREG | 0640U);
    EXPECT_EQ(status.st_mtim.tv_sec, 1'000'000'000);
    EXPECT_EQ(status.st_nlink, 2U);
    ASSERT_EQ(stat(path("root/dir").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode, S_IFDIR | 0750U);
    EXPECT_EQ(status.st_mtim.tv_sec, 1'000'000'000);
    ASSERT_EQ(lstat(path("root/dir/link").c_str(), &status), 0);
    EXPECT_TRUE(S_ISLNK(status.st_mode));
    // One file was asked for, then the end; patterns that are no ASCII go encoded.
    ASSERT_EQ(script_->received.size(), 2U);
    EXPECT_EQ(script_->received[0].type(), session::Packet_Type_REQUEST);
    EXPECT_EQ(script_->received[0].id(), 1U);
    EXPECT_EQ(script_->received[1].type(), session::Packet_Type_FIN);
    const RpcMetadata asked{
        {"dir-name", "context"},
        {"exclude-patterns", "a"},
        {"exclude-patterns", "%C3%BC"},
        {"exclude-patterns-encoded", "1"}};
    EXPECT_EQ(script_->asked, asked);
}

TEST_F(SessionFiles, CannotLeadOutOfTheirRoot) {
    for (const char* name : {"../out", "/out", "a/../../out", ".", "..", "", "a//b", "a/"}) {
        EXPECT_NE(refusal({entry(name, 0644)}).find("invalid entry"), std::string::npos) << name;
    }
    EXPECT_NE(
        refusal({entry("link", go_link | 0777U, ".."), entry("link/out", 0644)})
            .find("its directory was not sent"),
        std::string::npos);
    EXPECT_NE(
        refusal({entry("link", go_link | 0777U, "/etc/passwd"), entry("link", 0644)})
            .find("it was sent twice"),
        std::string::npos);
    EXPECT_NE(
        refusal({entry("hard", 0644, "/etc/passwd")}).find("a file that was not sent"),
        std::string::npos);
    EXPECT_NE(
        refusal({entry("link", go_link | 0777U, "/etc/passwd"), entry("hard", 0644, "link")})
            .find("a file that was not sent"),
        std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(path("out")));
}

TEST_F(SessionFiles, AreBounded) {
    EXPECT_NE(
        refusal({entry("a", 0644), data(0, "12345")}, {.bytes = 4}).find("more than 4 bytes"),
        std::string::npos);
    EXPECT_NE(
        refusal({entry("a", 0644), entry("b", 0644)}, {.entries = 1}).find("more than 1 entries"),
        std::string::npos);
    EXPECT_NE(
        refusal({entry("device", go_device | 0644U)}).find("cannot have devices"),
        std::string::npos);
    EXPECT_EQ(refusal({data(7, "x")}), "the client sent data that nobody asked for");
    session::Packet failed = packet_of(session::Packet_Type_ERROR);
    failed.set_data("no such directory");
    EXPECT_EQ(refusal({failed}), "the client cannot send its files: no such directory");
    EXPECT_EQ(
        refusal({entry("a", 0644), packet_of(session::Packet_Type_FIN)}),
        "the client ended before all of its files were sent");
    EXPECT_EQ(refusal({entry("a", 0644)}), "the client's session ended while files were sent");
}

} // namespace berth::build
