// SPDX-License-Identifier: Apache-2.0
// What --mount=type=secret and type=ssh ask for, and what a step then has, on a real tmpfs.
#include "base/file.h"
#include "build/lender_test_support.h"
#include "build/step_secrets.h"

#include <gtest/gtest.h>
#include <linux/magic.h>

#include <filesystem>
#include <optional>
#include <set>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

namespace berth::build {

namespace {

LentMount parsed(const std::string& text, std::size_t number = 0) {
    auto mount = parse_lent_mount(text, number);
    EXPECT_TRUE(mount.ok()) << text << ": " << mount.error().message();
    return mount.ok() ? *mount : LentMount();
}

std::string refused_mount(const std::string& text) {
    const auto mount = parse_lent_mount(text, 0);
    return mount.ok() ? "" : mount.error().message();
}

class StepSecretsTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (geteuid() != 0) {
            return;
        }
        ASSERT_EQ(unshare(CLONE_NEWNS), 0);
        ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    }

    void SetUp() override {
        if (geteuid() != 0) {
            GTEST_SKIP() << "needs root";
        }
        parent_.emplace(TemporaryDirectory::create("/tmp").value());
    }

    // However it ended, nothing of the step is left.
    void TearDown() override {
        secrets_.reset();
        if (parent_) {
            EXPECT_FALSE(std::filesystem::exists(directory()));
            EXPECT_EQ(read_file("/proc/self/mounts")->find(directory()), std::string::npos);
        }
    }

    std::string directory() const { return parent_->path() + "/lent"; }

    Result<void> lend(const std::vector<std::string>& texts) {
        std::vector<LentMount> wanted;
        for (const std::string& text : texts) {
            wanted.push_back(parsed(text));
        }
        secrets_ = TRY(StepSecrets::create({}, wanted, &lender_, directory()));
        return ok();
    }

    // Why a step cannot have them.
    std::string refusal(const std::vector<std::string>& texts) {
        const auto lent = lend(texts);
        EXPECT_FALSE(std::filesystem::exists(directory()));
        return lent.ok() ? "" : lent.error().message();
    }

    static std::string described(const oci::Mount& mount) {
        struct stat status {};

        EXPECT_EQ(::stat(mount.source.c_str(), &status), 0) << mount.source;
        std::string octal;
        for (mode_t mode = status.st_mode & 07777U; mode != 0; mode >>= 3U) {
            octal.insert(octal.begin(), static_cast<char>('0' + (mode & 7U)));
        }
        return (S_ISSOCK(status.st_mode) ? "socket " : "file ") + octal + " " +
               std::to_string(status.st_uid) + ":" + std::to_string(status.st_gid);
    }

    std::optional<TemporaryDirectory> parent_;
    Lender lender_;
    std::unique_ptr<StepSecrets> secrets_;
};

} // namespace

TEST(LentMountOptions, HaveBuildKitsDefaults) {
    const LentMount secret = parsed("type=secret,id=one");
    EXPECT_EQ(secret.kind, LentMount::Kind::Secret);
    EXPECT_EQ(secret.id, "one");
    EXPECT_EQ(secret.target, "/run/secrets/one");
    EXPECT_EQ(secret.environment, "");
    EXPECT_EQ(secret.mode, 0400U);
    EXPECT_EQ(secret.uid + secret.gid, 0U);
    EXPECT_FALSE(secret.is_required);
    EXPECT_EQ(parsed("type=secret,id=one,readonly,ro=false").target, "/run/secrets/one");
    // The kind decides the defaults, wherever it stands.
    const LentMount agent = parsed("required,type=ssh", 2);
    EXPECT_EQ(agent.kind, LentMount::Kind::Agent);
    EXPECT_EQ(agent.id, "default");
    EXPECT_EQ(agent.target, "/run/buildkit/ssh_agent.2");
    EXPECT_EQ(agent.mode, 0600U);
    EXPECT_TRUE(agent.is_required);
}

TEST(LentMountOptions, AreTaken) {
    const LentMount secret =
        parsed("type=secret,id=one,target=/etc/token,mode=0440,uid=1000,gid=50,required=true");
    EXPECT_EQ(secret.target, "/etc/token");
    EXPECT_EQ(secret.mode, 0440U);
    EXPECT_EQ(secret.uid, 1000U);
    EXPECT_EQ(secret.gid, 50U);
    EXPECT_TRUE(secret.is_required);
    EXPECT_EQ(parsed("type=secret,id=one,dst=/a").target, "/a");
    EXPECT_EQ(parsed("type=secret,id=one,destination=/a").target, "/a");
    const LentMount agent = parsed("type=ssh,id=work,target=/agent,mode=0666,uid=7,gid=8");
    EXPECT_EQ(agent.id + agent.target, "work/agent");
    EXPECT_EQ(agent.mode, 0666U);
    EXPECT_EQ(agent.uid + 100 * agent.gid, 807U);
    for (const char* yes : {"required", "required=true", "required=1", "required=True"}) {
        EXPECT_TRUE(parsed(std::string("type=secret,id=one,") + yes).is_required) << yes;
    }
    for (const char* no : {"required=false", "required=0", "required=F"}) {
        EXPECT_FALSE(parsed(std::string("type=secret,id=one,") + no).is_required) << no;
    }
}

TEST(LentMountOptions, NameASecretByIdSourceOrTarget) {
    EXPECT_EQ(parsed("type=secret,target=/etc/some/token").id, "token");
    EXPECT_EQ(parsed("type=secret,target=token/").id, "token");
    // Beside the id's last part, no directory of the client's shows in the step.
    EXPECT_EQ(parsed("type=secret,id=team/token").id, "team/token");
    EXPECT_EQ(parsed("type=secret,id=team/token").target, "/run/secrets/token");
    for (const char* key : {"source", "src"}) {
        const LentMount secret = parsed(std::string("type=secret,") + key + "=token");
        EXPECT_EQ(secret.id + " " + secret.target, "token /run/secrets/token");
    }
    EXPECT_EQ(refused_mount("type=secret,id=one,source=two"), "both source and id can't be set");
    EXPECT_EQ(refused_mount("type=secret"), "invalid secret mount. one of source, target required");
    EXPECT_EQ(
        refused_mount("type=secret,target=/"),
        "invalid secret mount. one of source, target required");
    EXPECT_EQ(refused_mount("type=ssh,source=one"), "ssh does not support source");
}

TEST(LentMountOptions, MakeVariablesOfSecrets) {
    const LentMount variable = parsed("type=secret,id=one,env=TOKEN");
    EXPECT_EQ(variable.environment, "TOKEN");
    EXPECT_EQ(variable.target, "");
    const LentMount both = parsed("type=secret,id=one,env=TOKEN,target=/token");
    EXPECT_EQ(both.environment + both.target, "TOKEN/token");
    EXPECT_EQ(refused_mount("type=ssh,env=TOKEN"), "unexpected key 'env' in 'env=TOKEN'");
}

TEST(LentMountOptions, AreRefusedWhenNobodyKnowsThem) {
    EXPECT_EQ(refused_mount("type=secret,id=one,size=1"), "unexpected key 'size' in 'size=1'");
    EXPECT_EQ(
        refused_mount("type=secret,id=one,required=maybe"), "invalid value for required: maybe");
    for (const char* field : {"id", "env", "target", "uid", "mode", ""}) {
        EXPECT_EQ(
            refused_mount(std::string("type=secret,target=/a,") + field),
            "invalid field '" + std::string(field) + "' must be a key=value pair");
    }
    for (const char* value : {"8", "0o400", "-1", "", "rw", "77777777777777"}) {
        EXPECT_EQ(
            refused_mount(std::string("type=secret,id=one,mode=") + value),
            std::string("invalid value ") + value + " for mode");
    }
    for (const char* value : {"root", "-1", "", "4294967296"}) {
        EXPECT_EQ(
            refused_mount(std::string("type=secret,id=one,uid=") + value),
            std::string("invalid value ") + value + " for uid");
        EXPECT_EQ(
            refused_mount(std::string("type=ssh,gid=") + value),
            std::string("invalid value ") + value + " for gid");
    }
}

TEST_F(StepSecretsTest, AreFilesOnATmpfsOfTheirOwn) {
    lender_.secrets = {{"one", "first"}, {"two", std::string("\0\n\xff", 3)}, {"empty", ""}};
    ASSERT_TRUE(lend({"type=secret,id=one",
                      "type=secret,id=two,target=/two,mode=0440,uid=1000,gid=50",
                      "type=secret,id=empty,mode=04004,uid=7"})
                    .ok());
    ASSERT_EQ(secrets_->mounts().size(), 3U);
    const oci::Mount& one = secrets_->mounts()[0];
    EXPECT_EQ(one.destination, "/run/secrets/one");
    EXPECT_EQ(one.type, "bind");
    const std::vector<std::string> options{"rbind", "rprivate", "ro", "nosuid", "nodev", "noexec"};
    EXPECT_EQ(one.options, options);
    EXPECT_EQ(described(one), "file 400 0:0");
    EXPECT_EQ(read_file(one.source).value(), "first");
    EXPECT_EQ(secrets_->mounts()[1].destination, "/two");
    EXPECT_EQ(described(secrets_->mounts()[1]), "file 440 1000:50");
    EXPECT_EQ(read_file(secrets_->mounts()[1].source).value(), lender_.secrets["two"]);
    EXPECT_EQ(described(secrets_->mounts()[2]), "file 4004 7:0");
    EXPECT_EQ(read_file(secrets_->mounts()[2].source).value(), "");
    EXPECT_TRUE(secrets_->environment().empty());

    struct statfs system {};

    for (const std::string& path : {one.source, secrets_->private_directory()}) {
        ASSERT_EQ(statfs(path.c_str(), &system), 0);
        EXPECT_EQ(system.f_type, TMPFS_MAGIC);
    }

    struct stat status {};

    for (const std::string& path : {directory(), secrets_->private_directory()}) {
        ASSERT_EQ(stat(path.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode, S_IFDIR | 0700U);
    }
    secrets_.reset();
    EXPECT_FALSE(std::filesystem::exists(directory()));
}

TEST_F(StepSecretsTest, MayBeMissingUnlessRequired) {
    lender_.secrets = {{"two", "second"}};
    ASSERT_TRUE(
        lend({"type=secret,id=one", "type=secret,id=two", "type=secret,id=one,env=ONE"}).ok());
    ASSERT_EQ(secrets_->mounts().size(), 1U);
    EXPECT_EQ(secrets_->mounts()[0].destination, "/run/secrets/two");
    EXPECT_TRUE(secrets_->environment().empty());
    secrets_.reset();
    EXPECT_EQ(
        refusal({"type=secret,id=two", "type=secret,id=one,required"}), "secret one: not found");
    EXPECT_EQ(refusal({"type=secret,id=one,env=ONE,required"}), "secret one: not found");
    EXPECT_EQ(refusal({"type=ssh,id=work,required"}), "ssh agent work: not found");
}

TEST_F(StepSecretsTest, CanBeVariables) {
    lender_.secrets = {
        {"one", "a=b\nc"}, {"empty", ""}, {"binary", std::string("a\0b", 3)}, {"latin", "caf\xe9"}};
    ASSERT_TRUE(lend({"type=secret,id=one,env=ONE",
                      "type=secret,id=empty,env=EMPTY",
                      "type=secret,id=one,env=BOTH,target=/one"})
                    .ok());
    const std::vector<std::string> variables{"ONE=a=b\nc", "EMPTY=", "BOTH=a=b\nc"};
    EXPECT_EQ(secrets_->environment(), variables);
    ASSERT_EQ(secrets_->mounts().size(), 1U);
    EXPECT_EQ(secrets_->mounts()[0].destination, "/one");
    secrets_.reset();
    EXPECT_EQ(
        refusal({"type=secret,id=binary,env=X"}),
        "secret binary cannot be a variable: it has a NUL");
    EXPECT_EQ(
        refusal({"type=secret,id=latin,env=X"}),
        "secret latin cannot be a variable: it is no UTF-8 text");
    ASSERT_TRUE(lend({"type=secret,id=binary", "type=secret,id=latin"}).ok());
}

TEST_F(StepSecretsTest, AreBounded) {
    lender_.secrets = {
        {"full", std::string(secret_limit, 'x')}, {"larger", std::string(secret_limit + 1, 'x')}};
    for (const char* form : {"type=secret,id=larger", "type=secret,id=larger,env=X"}) {
        EXPECT_EQ(refusal({form}), "secret larger is larger than 512000 bytes");
    }
    // There is room for as many of the largest as a step may have.
    std::vector<std::string> many(64, "type=secret,id=full");
    ASSERT_TRUE(lend(many).ok());
    EXPECT_EQ(std::filesystem::file_size(secrets_->mounts()[63].source), secret_limit);
    secrets_.reset();
    lender_.asked.clear();
    many.emplace_back("type=ssh");
    EXPECT_EQ(refusal(many), "a RUN step has more than 64 mounts of secrets and agents");
    EXPECT_TRUE(lender_.asked.empty());
}

TEST_F(StepSecretsTest, NeedAClientThatLends) {
    const auto nobody =
        StepSecrets::create({}, {parsed("type=secret,id=one")}, nullptr, directory());
    ASSERT_FALSE(nobody.ok());
    EXPECT_NE(nobody.error().message().find("DOCKER_BUILDKIT=1"), std::string::npos);
    lender_.failure = Error(ErrorKind::Unavailable, "the client has gone");
    EXPECT_EQ(refusal({"type=secret,id=one"}), "secret one: the client has gone");
    EXPECT_EQ(refusal({"type=ssh"}), "ssh agent default: the client has gone");
}

TEST_F(StepSecretsTest, HaveAgentsAsSockets) {
    lender_.agents = {"work", "default"};
    lender_.secrets = {{"one", "first"}};
    ASSERT_TRUE(lend({"type=ssh,id=none",
                      "type=ssh,id=work,target=/work,uid=1000,gid=50",
                      "type=secret,id=one",
                      "type=ssh,target=/default,mode=0666"})
                    .ok());
    ASSERT_EQ(secrets_->mounts().size(), 3U);
    EXPECT_EQ(secrets_->mounts()[0].destination, "/work");
    EXPECT_EQ(described(secrets_->mounts()[0]), "socket 600 1000:50");
    EXPECT_EQ(read_file(secrets_->mounts()[1].source).value(), "first");
    EXPECT_EQ(secrets_->mounts()[2].destination, "/default");
    EXPECT_EQ(described(secrets_->mounts()[2]), "socket 666 0:0");
    // A step writes to its agent.
    const std::vector<std::string> options{"rbind", "rprivate", "nosuid", "nodev", "noexec"};
    EXPECT_EQ(secrets_->mounts()[2].options, options);
    const std::vector<std::string> variables{"SSH_AUTH_SOCK=/work"};
    EXPECT_EQ(secrets_->environment(), variables);
    // Of the agent that is not there, no socket stays.
    const auto names = list_directory(directory()).value();
    EXPECT_EQ(
        std::set<std::string>(names.begin(), names.end()),
        (std::set<std::string>{"0", "1", "2", "private"}));
    EXPECT_EQ(lender_.ended_agents, 0);
    secrets_.reset();
    EXPECT_EQ(lender_.ended_agents, 2);
    // One that began ends when a later mount cannot be.
    EXPECT_EQ(refusal({"type=ssh", "type=ssh,id=none,required"}), "ssh agent none: not found");
    EXPECT_EQ(lender_.ended_agents, 3);
}

TEST_F(StepSecretsTest, OfAKilledEngineAreRemoved) {
    ASSERT_TRUE(make_directories(directory()).ok());
    ASSERT_EQ(mount("tmpfs", directory().c_str(), "tmpfs", 0, nullptr), 0);
    ASSERT_TRUE(replace_file(directory() + "/0", "first", 0600, Sync::No).ok());
    StepSecrets::remove_leftovers(directory());
    EXPECT_FALSE(std::filesystem::exists(directory()));
}

} // namespace berth::build
