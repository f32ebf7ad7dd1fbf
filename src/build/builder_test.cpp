// SPDX-License-Identifier: Apache-2.0
// Whole builds on a real store, network and monitor, in namespaces of this process.
#include "base/file.h"
#include "base/strings.h"
#include "build/builder.h"
#include "codec/tar.h"
#include "kernel/path.h"

#include <gtest/gtest.h>

#include <thread>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::build {

namespace {

constexpr const char* cgroup_parent = "/berth-build-test";

struct File {
    std::string name;
    std::string content;
    tar::EntryType type = tar::EntryType::File;
    std::uint32_t mode = 0644;
    std::string link;
};

std::string make_tar(const std::vector<File>& files) {
    StringSink sink;
    tar::Writer writer(sink);
    for (const File& file : files) {
        tar::Header header{.name = file.name, .link_name = file.link, .type = file.type};
        header.mode = file.mode;
        header.size = file.content.size();
        EXPECT_TRUE(writer.write_header(header).ok());
        EXPECT_TRUE(writer.write(file.content).ok());
    }
    EXPECT_TRUE(writer.finish().ok());
    return sink.take();
}

File directory(std::string name) {
    return {
        .name = std::move(name), .content = "", .type = tar::EntryType::Directory, .mode = 0755};
}

std::string program_directory() {
    std::string path(4096, '\0');
    const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
    path.resize(static_cast<std::size_t>(length));
    return path.substr(0, path.rfind('/'));
}

void remove_cgroups() {
    const std::string root = "/sys/fs/cgroup";
    auto names = list_directory(root);
    std::vector<std::string> places{root};
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        places.push_back(root + "/" + name);
    }
    for (const std::string& place : places) {
        rmdir((place + cgroup_parent).c_str());
    }
}

class BuilderTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (geteuid() != 0) {
            return;
        }
        // Before any thread starts: mounts, links and rules stay in here.
        ASSERT_EQ(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
        ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    }

    static void TearDownTestSuite() { remove_cgroups(); }

    void SetUp() override {
        if (geteuid() != 0) {
            GTEST_SKIP() << "needs root";
        }
        directory_.emplace(TemporaryDirectory::create("/var/tmp").value());
        loop_ = io::EventLoop::create().value();
        thread_ = std::thread([this] { loop_->run(); });
        store_ = store::Store::open({.root = directory_->path() + "/data"}).value();
        driver_ = network::NetworkDriver::start({.table = "berth-build-test"}).value();
        bridge_ = driver_
                      ->create(
                          {.name = "berthbuild0",
                           .subnet = network::IpPrefix::parse("10.213.0.0/24").value()})
                      .value();
        import_busybox();
        open_builder();
    }

    void TearDown() override {
        builder_.reset();
        bridge_.reset();
        if (driver_) {
            EXPECT_TRUE(driver_->remove_all().ok());
            driver_->wait_until_removed();
        }
        driver_.reset();
        if (store_) {
            EXPECT_TRUE(store_->layers().list_writable()->empty()) << "a step left its layer";
            // The store may still be deleting layers there.
            for (const std::string& name : left_in("data/tmp")) {
                EXPECT_FALSE(name.starts_with("tmp-")) << "a context was left: " << name;
            }
            EXPECT_TRUE(left_in("data/containers").empty());
            EXPECT_TRUE(left_in("exec/containers").empty());
        }
        store_.reset();
        if (loop_) {
            loop_->stop();
            thread_.join();
        }
    }

    std::vector<std::string> left_in(const std::string& name) const {
        auto names = list_directory(directory_->path() + "/" + name);
        return names.ok() ? *names : std::vector<std::string>();
    }

    void open_builder() {
        BuilderOptions options{.store = *store_, .loop = *loop_};
        options.find_network =
            [this](const std::string& name) -> Result<std::shared_ptr<network::BridgeNetwork>> {
            if (name != "bridge") {
                return not_found("network " + name + " not found");
            }
            return bridge_;
        };
        options.isolated_namespace = [this] { return driver_->create_isolated_namespace(); };
        options.data_root = directory_->path() + "/data";
        options.exec_root = directory_->path() + "/exec";
        options.monitor_program = program_directory() + "/berth-monitor";
        options.cgroup_parent = cgroup_parent;
        builder_ = Builder::create(std::move(options)).value();
    }

    void import_busybox() {
        std::vector<File> files{directory("bin"), directory("etc"), directory("tmp")};
        files.back().mode = 01777;
        files.push_back(
            {.name = "bin/busybox", .content = read_file("/bin/busybox").value(), .mode = 0755});
        for (const char* name :
             {"sh",
              "cat",
              "ls",
              "echo",
              "id",
              "mkdir",
              "sleep",
              "stat",
              "test",
              "rm",
              "env",
              "touch",
              "false",
              "ip",
              "head"}) {
            files.push_back(
                {.name = std::string("bin/") + name,
                 .type = tar::EntryType::SymbolicLink,
                 .link = "busybox"});
        }
        files.push_back(
            {.name = "etc/passwd",
             .content = "root:x:0:0::/root:/bin/sh\napp:x:1234:1234::/home/app:/bin/sh\n"});
        files.push_back({.name = "etc/group", .content = "root:x:0:\napp:x:1234:\nstaff:x:50:\n"});
        auto lease = store_->images().lease();
        StringSource source(make_tar(files));
        const auto layer = store_->layers().apply(lease, {}, source).value();
        oci::ImageConfig config;
        config.platform = oci::Platform::host();
        config.config.env = {"PATH=/bin"};
        config.config.cmd = {"sh"};
        config.rootfs.diff_ids = {layer.diff_id};
        ASSERT_TRUE(store_->images()
                        .create(
                            {.config_json = config.serialize(),
                             .names = {oci::Reference::parse_normalized("busybox").value()}})
                        .ok());
    }

    Result<BuildResult> build(
        const std::string& dockerfile,
        std::vector<File> files = {},
        BuildRequest request = {},
        std::stop_token stop = {}) {
        output_.clear();
        files.insert(files.begin(), {.name = "Dockerfile", .content = dockerfile});
        StringSource context(make_tar(files));
        BuildCallbacks callbacks;
        callbacks.output = [this](std::string_view text) {
            output_ += text;
            if (on_output_) {
                on_output_();
            }
        };
        return builder_->build(stop, request, context, callbacks, &failure_);
    }

    std::string error_of(
        const std::string& dockerfile, std::vector<File> files = {}, BuildRequest request = {}) {
        auto built = build(dockerfile, std::move(files), std::move(request));
        return built.ok() ? "" : built.error().message();
    }

    oci::Digest must_build(
        const std::string& dockerfile, std::vector<File> files = {}, BuildRequest request = {}) {
        auto built = build(dockerfile, std::move(files), std::move(request));
        EXPECT_TRUE(built.ok()) << built.error().message() << "\n" << output_;
        return built.ok() ? built->image_id : oci::Digest();
    }

    // A file of an image; "absent" when it is not there.
    std::string
    content(const oci::Digest& id, const std::string& path, struct stat* status = nullptr) {
        const auto image = store_->images().get(id).value();
        EXPECT_TRUE(store_->layers().prepare("look", image.chain_id).ok());
        const std::string mounted = store_->layers().mount("look").value();
        std::string text = "absent";
        {
            const UniqueFd root = open_file(mounted, O_PATH | O_DIRECTORY).value();
            auto file = kernel::open_in_root(root, path, O_RDONLY | O_NONBLOCK);
            if (file.ok()) {
                auto read = read_all(*file, 1U << 20);
                text = read.ok() ? *read : "directory";
                if (status != nullptr) {
                    EXPECT_EQ(fstat(file->get(), status), 0);
                }
            }
        }
        EXPECT_TRUE(store_->layers().remove_writable("look").ok());
        return text;
    }

    oci::ContainerDefaults config(const oci::Digest& id) {
        return store_->images().get(id).value().config.config;
    }

    std::optional<TemporaryDirectory> directory_;
    std::unique_ptr<io::EventLoop> loop_;
    std::thread thread_;
    std::unique_ptr<store::Store> store_;
    std::unique_ptr<network::NetworkDriver> driver_;
    std::shared_ptr<network::BridgeNetwork> bridge_;
    std::unique_ptr<Builder> builder_;
    std::string output_;
    std::function<void()> on_output_;
    StepFailure failure_;
};

} // namespace

TEST_F(BuilderTest, RunsACommandAndTagsTheImage) {
    const oci::Digest id = must_build(
        "FROM busybox\nRUN echo hello > /made && echo said\nCMD [\"cat\", \"/made\"]\n",
        {},
        {.tags = {"app", "app:v1"}});
    EXPECT_EQ(content(id, "/made"), "hello\n");
    EXPECT_EQ(config(id).cmd, (std::vector<std::string>{"cat", "/made"}));
    EXPECT_EQ(store_->images().get("app").value().id, id);
    EXPECT_EQ(store_->images().get("app:v1").value().id, id);
    EXPECT_TRUE(output_.starts_with("Step 1/3 : FROM busybox\n ---> ")) << output_;
    EXPECT_NE(
        output_.find("\nStep 2/3 : RUN echo hello > /made && echo said\n ---> Running in "),
        std::string::npos)
        << output_;
    EXPECT_NE(output_.find("\nsaid\n ---> Removed intermediate container "), std::string::npos);
    EXPECT_TRUE(output_.ends_with(
        "Successfully built " + id.short_id() +
        "\nSuccessfully tagged app:latest\nSuccessfully tagged app:v1\n"))
        << output_;
    const auto history = store_->images().get(id).value().config.history;
    ASSERT_EQ(history.size(), 2U);
    EXPECT_EQ(history[0].created_by, "/bin/sh -c echo hello > /made && echo said");
    EXPECT_EQ(history[1].created_by, "/bin/sh -c #(nop)  CMD [\"cat\" \"/made\"]");
    EXPECT_TRUE(history[1].empty_layer);
    // Mount points of the step are no part of the image.
    EXPECT_EQ(content(id, "/etc/resolv.conf"), "absent");
    EXPECT_EQ(content(id, "/proc"), "absent");
}

TEST_F(BuilderTest, ReportsTheExitCodeOfAFailedCommand) {
    EXPECT_EQ(
        error_of("FROM busybox\nRUN exit 3\n"),
        "The command '/bin/sh -c exit 3' returned a non-zero code: 3");
    EXPECT_EQ(failure_.exit_code, 3);
    EXPECT_NE(
        error_of("FROM busybox\nRUN [\"nosuch\"]\n")
            .find("exec: \"nosuch\": executable file not found in $PATH"),
        std::string::npos);
}

TEST_F(BuilderTest, UsesTheCacheUntilSomethingChanges) {
    const std::string dockerfile = "FROM busybox\nCOPY a /a\nRUN cat /a > /b\nENV X=1\n";
    const oci::Digest first = must_build(dockerfile, {{.name = "a", .content = "1"}});
    EXPECT_EQ(output_.find("Using cache"), std::string::npos);
    EXPECT_EQ(must_build(dockerfile, {{.name = "a", .content = "1"}}), first);
    EXPECT_NE(output_.find("/a\n ---> Using cache\n ---> "), std::string::npos) << output_;
    EXPECT_NE(output_.find("X=1\n ---> Using cache\n"), std::string::npos) << output_;
    EXPECT_EQ(output_.find("Running in"), std::string::npos);
    const oci::Digest changed = must_build(dockerfile, {{.name = "a", .content = "2"}});
    EXPECT_NE(changed, first);
    EXPECT_EQ(content(changed, "/b"), "2");
    EXPECT_NE(must_build(dockerfile, {{.name = "a", .content = "1"}}, {.no_cache = true}), first);
    ASSERT_TRUE(builder_->prune_cache().ok());
    must_build(dockerfile, {{.name = "a", .content = "1"}});
    EXPECT_EQ(output_.find("Using cache"), std::string::npos);
}

TEST_F(BuilderTest, CopiesBetweenStagesAndSkipsStagesThatNobodyNeeds) {
    const oci::Digest id =
        must_build("FROM busybox AS make\nRUN mkdir /out && echo x > /out/x && touch /out/y\n"
                   "FROM busybox AS unused\nRUN false\n"
                   "FROM scratch\nCOPY --from=make /out /\nCOPY --from=0 /out/x /z/\n"
                   "COPY --from=busybox /etc/passwd /p\n");
    EXPECT_EQ(content(id, "/x"), "x\n");
    EXPECT_EQ(content(id, "/y"), "");
    EXPECT_EQ(content(id, "/z/x"), "x\n");
    EXPECT_EQ(content(id, "/bin/sh"), "absent");
    EXPECT_TRUE(content(id, "/p").starts_with("root:"));
    EXPECT_EQ(output_.find("unused"), std::string::npos);
    EXPECT_NE(output_.find("Step 1/6 : "), std::string::npos) << output_;
}

TEST_F(BuilderTest, BuildsTheTargetOnly) {
    const std::string dockerfile = "FROM busybox AS a\nENV A=1\nFROM a AS b\nRUN false\n";
    const oci::Digest id = must_build(dockerfile, {}, {.target = "A"});
    EXPECT_EQ(config(id).env.back(), "A=1");
    EXPECT_EQ(
        error_of(dockerfile, {}, {.target = "c"}), "failed to reach build target c in Dockerfile");
}

TEST_F(BuilderTest, CopiesFilesAsDockerDoes) {
    const std::vector<File> files{
        directory("dir"),
        directory("dir/sub"),
        {.name = "dir/sub/deep", .content = "deep", .mode = 0600},
        {.name = "dir/link", .type = tar::EntryType::SymbolicLink, .link = "sub/deep"},
        {.name = "one.txt", .content = "1"},
        {.name = "two.txt", .content = "2", .mode = 04755},
        {.name = "three.md", .content = "3"}};

    struct stat status {};

    const oci::Digest id = must_build(
        "FROM busybox\nWORKDIR /work\nCOPY *.txt ./\nCOPY dir /copied\nCOPY one.txt renamed\n"
        "COPY --chown=app:staff --chmod=640 three.md /owned/\nCOPY dir/link /followed\n"
        "COPY [\"one.txt\", \"/with space/\"]\n",
        files);
    EXPECT_EQ(content(id, "/work/one.txt"), "1");
    EXPECT_EQ(content(id, "/work/two.txt", &status), "2");
    EXPECT_EQ(status.st_mode & 07777U, 04755U);
    EXPECT_EQ(status.st_uid, 0U);
    EXPECT_EQ(content(id, "/work/three.md"), "absent");
    EXPECT_EQ(content(id, "/copied/sub/deep", &status), "deep");
    EXPECT_EQ(status.st_mode & 07777U, 0600U);
    EXPECT_EQ(content(id, "/copied/link"), "deep");
    EXPECT_EQ(content(id, "/work/renamed"), "1");
    EXPECT_EQ(content(id, "/owned/three.md", &status), "3");
    EXPECT_EQ(status.st_uid, 1234U);
    EXPECT_EQ(status.st_gid, 50U);
    EXPECT_EQ(status.st_mode & 07777U, 0640U);
    EXPECT_EQ(content(id, "/owned", &status), "directory");
    EXPECT_EQ(status.st_uid, 1234U);
    EXPECT_EQ(content(id, "/followed"), "deep");
    EXPECT_EQ(content(id, "/with space/one.txt"), "1");
}

TEST_F(BuilderTest, ReportsWrongSources) {
    EXPECT_EQ(
        error_of("FROM busybox\nCOPY nope /\n"),
        "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: "
        "file does not exist");
    EXPECT_EQ(
        error_of("FROM busybox\nCOPY ../x /\n"),
        "COPY failed: forbidden path outside the build context: ../x ()");
    EXPECT_EQ(
        error_of("FROM busybox\nCOPY *.no /\n"), "COPY failed: no source files were specified");
    EXPECT_EQ(
        error_of("FROM busybox\nCOPY Dockerfile Dockerfile /x\n"),
        "COPY failed: When using COPY with more than one source file, the destination must be a "
        "directory and end with a /");
    EXPECT_EQ(
        error_of("FROM busybox\nFOO\n"), "dockerfile parse error line 2: unknown instruction: FOO");
}

TEST_F(BuilderTest, NeverWritesOutsideOfTheRoot) {
    const std::string outside = directory_->path() + "/outside";
    ASSERT_TRUE(make_directories(outside).ok());
    // Links in the image and in the context that lead to the host.
    const std::vector<File> files{
        {.name = "f", .content = "payload"},
        {.name = "abs", .type = tar::EntryType::SymbolicLink, .link = "/etc/hostname"},
        {.name = "up",
         .type = tar::EntryType::SymbolicLink,
         .link = "../../../../../../etc/hostname"}};
    const oci::Digest id = must_build(
        "FROM busybox\nRUN ln -s " + outside + " /evil || /bin/busybox ln -s " + outside +
            " /evil\nRUN /bin/busybox ln -s ../../../../../.." + outside +
            " /evil2\nRUN mkdir -p " + outside + "\nCOPY f /evil/f\nCOPY f /evil2/g\n",
        files);
    EXPECT_TRUE(list_directory(outside)->empty());
    EXPECT_EQ(content(id, outside + "/f"), "payload");
    EXPECT_NE(error_of("FROM busybox\nCOPY abs /x\n", files), "");
    EXPECT_NE(error_of("FROM busybox\nCOPY up /x\n", files), "");
}

TEST_F(BuilderTest, UnpacksArchivesOfAddOnly) {
    const std::string archive = make_tar({{.name = "in/side", .content = "packed"}});
    const std::vector<File> files{
        {.name = "a.tar", .content = archive}, {.name = "plain", .content = "text"}};
    const oci::Digest id =
        must_build("FROM busybox\nADD a.tar /un\nADD plain /un/\nCOPY a.tar /kept/\n", files);
    EXPECT_EQ(content(id, "/un/in/side"), "packed");
    EXPECT_EQ(content(id, "/un/plain"), "text");
    EXPECT_EQ(content(id, "/kept/a.tar"), archive);
    EXPECT_NE(
        error_of("FROM busybox\nADD https://example.com/x /\n").find("not implemented"),
        std::string::npos);
}

TEST_F(BuilderTest, ExpandsVariablesAndArguments) {
    const oci::Digest id = must_build(
        "ARG TAG=nothing\nFROM $TAG\nARG NAME=default\nARG TAG\nARG OTHER\nENV FULL=${NAME}-x A=1\n"
        "ENV A=2 B=$A\nLABEL l=\"$FULL\" \"m n\"=o\nEXPOSE 80 9000-9001/udp\nUSER app\nVOLUME /v\n"
        "WORKDIR /srv\nWORKDIR $NAME\nSTOPSIGNAL SIGINT\nRUN echo \"$NAME $TAG $FULL\" > /tmp/o\n"
        "HEALTHCHECK --interval=5s --retries=2 CMD test -f /x\nSHELL [\"/bin/sh\", \"-ec\"]\nCMD "
        "go\n",
        {},
        {.build_args = {{"NAME", "given"}, {"TAG", "busybox"}, {"UNUSED", "1"}}});
    const oci::ContainerDefaults defaults = config(id);
    EXPECT_EQ(defaults.env, (std::vector<std::string>{"PATH=/bin", "FULL=given-x", "A=2", "B=1"}));
    EXPECT_EQ(defaults.labels.at("l"), "given-x");
    EXPECT_EQ(defaults.labels.at("m n"), "o");
    EXPECT_TRUE(defaults.exposed_ports.contains("80/tcp"));
    EXPECT_TRUE(defaults.exposed_ports.contains("9001/udp"));
    EXPECT_EQ(defaults.user, "app");
    EXPECT_EQ(defaults.working_dir, "/srv/given");
    EXPECT_EQ(defaults.stop_signal, "SIGINT");
    EXPECT_EQ(defaults.healthcheck->test, (std::vector<std::string>{"CMD-SHELL", "test -f /x"}));
    EXPECT_EQ(defaults.healthcheck->interval, 5'000'000'000);
    EXPECT_EQ(defaults.cmd, (std::vector<std::string>{"/bin/sh", "-ec", "go"}));

    struct stat status {};

    EXPECT_EQ(content(id, "/tmp/o", &status), "given busybox given-x\n");
    EXPECT_EQ(status.st_uid, 1234U);
    EXPECT_NE(
        output_.find("[Warning] One or more build-args [UNUSED] were not consumed\n"),
        std::string::npos)
        << output_;
    const auto history = store_->images().get(id).value().config.history;
    bool found = false;
    for (const auto& entry : history) {
        found = found || entry.created_by.starts_with("|2 NAME=given TAG=busybox /bin/sh -c echo");
    }
    EXPECT_TRUE(found);
}

TEST_F(BuilderTest, RunsHeredocsAndMounts) {
    const oci::Digest id = must_build(
        "FROM busybox\nRUN <<EOF\nset -e\necho one > /one\necho two > /two\nEOF\n"
        "COPY <<A <<'B' /docs/\n$PATH\nA\n$PATH\nB\n"
        "RUN cat <<X > /three\nthree\nX\n"
        "RUN <<S\n#!/bin/cat\nshown\nS\n"
        "RUN --mount=type=bind,source=f,target=/f --mount=type=tmpfs,target=/t "
        "--mount=type=cache,target=/c cat /f > /from && touch /t/x && echo 1 >> /c/count\n"
        "RUN --network=none --mount=type=cache,target=/c echo 2 >> /c/count && cat /c/count > "
        "/count\n",
        {{.name = "f", .content = "bound"}});
    EXPECT_EQ(content(id, "/one"), "one\n");
    EXPECT_EQ(content(id, "/docs/A"), "/bin\n");
    EXPECT_EQ(content(id, "/docs/B"), "$PATH\n");
    EXPECT_EQ(content(id, "/three"), "three\n");
    EXPECT_NE(output_.find("#!/bin/cat\nshown\n"), std::string::npos);
    EXPECT_EQ(content(id, "/from"), "bound");
    EXPECT_EQ(content(id, "/count"), "1\n2\n");
    EXPECT_EQ(content(id, "/c"), "absent");
    EXPECT_EQ(content(id, "/f"), "absent");
    EXPECT_NE(error_of("FROM busybox\nRUN --mount=type=secret,id=x,target=/s true\n"), "");
}

TEST_F(BuilderTest, HonoursDockerignore) {
    const std::vector<File> files{
        {.name = ".dockerignore", .content = "*.log\nDockerfile\n.dockerignore\n!keep.log\n"},
        {.name = "a.log", .content = "1"},
        {.name = "keep.log", .content = "2"},
        {.name = "b", .content = "3"}};
    const oci::Digest id = must_build("FROM busybox\nCOPY . /all/\n", files);
    EXPECT_EQ(content(id, "/all/a.log"), "absent");
    EXPECT_EQ(content(id, "/all/keep.log"), "2");
    EXPECT_EQ(content(id, "/all/b"), "3");
    EXPECT_EQ(content(id, "/all/Dockerfile"), "absent");
}

TEST_F(BuilderTest, RunsTriggersOfTheBaseImage) {
    must_build(
        "FROM busybox\nONBUILD COPY f /f\nONBUILD RUN cat /f > /g\n", {}, {.tags = {"base"}});
    const oci::Digest id =
        must_build("FROM base\nENV A=1\n", {{.name = "f", .content = "triggered"}});
    EXPECT_EQ(content(id, "/g"), "triggered");
    EXPECT_TRUE(config(id).on_build.empty());
    EXPECT_NE(output_.find("# Executing 2 build triggers\n"), std::string::npos);
}

TEST_F(BuilderTest, AddsLabelsOfTheRequest) {
    const oci::Digest id =
        must_build("FROM busybox\n", {}, {.labels = {{"it's", "a \"label\" $HOME"}}});
    EXPECT_EQ(config(id).labels.at("it's"), "a \"label\" $HOME");
}

TEST_F(BuilderTest, QuietBuildsSayOnlyTheId) {
    const oci::Digest id = must_build("FROM busybox\nENV A=1\n", {}, {.quiet = true});
    EXPECT_EQ(output_, id.to_string() + "\n");
}

TEST_F(BuilderTest, ReportsMissingDockerfilesAndImages) {
    EXPECT_EQ(
        error_of("FROM busybox\n", {}, {.dockerfile = "other"}),
        "Cannot locate specified Dockerfile: other");
    EXPECT_EQ(error_of(""), "the Dockerfile (Dockerfile) cannot be empty");
    auto missing = build("FROM nowhere\n");
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().kind(), ErrorKind::NotFound);
    EXPECT_NE(error_of("FROM Bad\n"), "");
}

TEST_F(BuilderTest, StopsARunningStepAndLeavesNothing) {
    std::stop_source stop;
    on_output_ = [&] {
        if (output_.find("started") != std::string::npos) {
            stop.request_stop();
        }
    };
    auto built = build("FROM busybox\nRUN echo started && sleep 1000\n", {}, {}, stop.get_token());
    ASSERT_FALSE(built.ok());
    EXPECT_EQ(built.error().kind(), ErrorKind::Cancelled);
}

TEST_F(BuilderTest, HasANetworkAndNames) {
    must_build("FROM busybox\nRUN cat /etc/hosts && ip addr show eth0 && cat /etc/resolv.conf\n");
    EXPECT_NE(output_.find("10.213.0."), std::string::npos) << output_;
    EXPECT_NE(output_.find("nameserver "), std::string::npos);
    must_build(
        "FROM busybox\nRUN ip addr show eth0 || echo lonely\n", {}, {.network_mode = "none"});
    EXPECT_NE(output_.find("lonely\n"), std::string::npos) << output_;
    EXPECT_EQ(
        error_of("FROM busybox\nRUN id\n", {}, {.no_cache = true, .network_mode = "nope"}),
        "network nope not found");
}

} // namespace berth::build
