// SPDX-License-Identifier: Apache-2.0
// build: a folder and a Dockerfile become an image.
#include "base/file.h"
#include "base/strings.h"
#include "cli/build_context.h"
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/run_options.h"
#include "cli/session.h"

#include <sys/stat.h>
#include <unistd.h>

namespace berth::cli::commands {

namespace {

// The limits of RUN's containers.
struct BuildLimits {
    std::string memory;
    std::string memory_swap;
    std::string shm_size;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::string cgroup_parent;
    std::optional<std::int64_t> cpu_shares;
    std::optional<std::int64_t> cpu_period;
    std::optional<std::int64_t> cpu_quota;

    void declare(Flags& flags) {
        flags.text("memory", 'm', memory, "Memory limit");
        flags.text(
            "memory-swap",
            0,
            memory_swap,
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap");
        flags.text("shm-size", 0, shm_size, "Size of \"/dev/shm\"");
        flags.text("cpuset-cpus", 0, cpuset_cpus, "CPUs in which to allow execution (0-3, 0,1)");
        flags.text("cpuset-mems", 0, cpuset_mems, "MEMs in which to allow execution (0-3, 0,1)");
        flags.text(
            "cgroup-parent",
            0,
            cgroup_parent,
            "Set the parent cgroup for the \"RUN\" instructions during build");
        flags.number("cpu-shares", 'c', cpu_shares, "CPU shares (relative weight)");
        flags.number(
            "cpu-period", 0, cpu_period, "Limit the CPU CFS (Completely Fair Scheduler) period");
        flags.number(
            "cpu-quota", 0, cpu_quota, "Limit the CPU CFS (Completely Fair Scheduler) quota");
    }

    Result<void> add_to(Query& query) const {
        for (const auto& [name, text] :
             {std::pair<const char*, const std::string&>{"memory", memory},
              {"memswap", memory_swap},
              {"shmsize", shm_size}}) {
            if (text == "-1") {
                query.add(name, text);
            } else if (!text.empty()) {
                const std::int64_t bytes = TRY(parse_bytes(text));
                query.add(name, std::to_string(bytes));
            }
        }
        for (const auto& [name, number] :
             {std::pair{"cpushares", cpu_shares},
              {"cpuperiod", cpu_period},
              {"cpuquota", cpu_quota}}) {
            if (number) {
                query.add(name, std::to_string(*number));
            }
        }
        for (const auto& [name, text] :
             {std::pair<const char*, const std::string&>{"cpusetcpus", cpuset_cpus},
              {"cpusetmems", cpuset_mems},
              {"cgroupparent", cgroup_parent}}) {
            if (!text.empty()) {
                query.add(name, text);
            }
        }
        return ok();
    }
};

struct BuildFlags {
    BuildLimits limits;
    std::vector<std::string> hosts;
    std::vector<std::string> tags;
    std::vector<std::string> arguments;
    std::vector<std::string> labels;
    std::vector<std::string> cache_from;
    std::string file;
    std::string target;
    std::string network;
    std::string platform;
    std::string id_file;
    bool no_cache = false;
    bool pull = false;
    bool quiet = false;
    bool squash = false;
    bool remove = true;
    bool force_remove = false;

    void declare(Flags& flags) {
        limits.declare(flags);
        flags.list("add-host", 0, hosts, "Add a custom host-to-IP mapping (\"host:ip\")");
        flags.list("tag", 't', tags, "Name and optionally a tag in the \"name:tag\" format");
        flags.list("build-arg", 0, arguments, "Set build-time variables");
        flags.list("label", 0, labels, "Set metadata for an image");
        flags.list("cache-from", 0, cache_from, "Images to consider as cache sources");
        flags.text("file", 'f', file, "Name of the Dockerfile (default is \"PATH/Dockerfile\")");
        flags.text("target", 0, target, "Set the target build stage to build");
        flags.text(
            "network", 0, network, "Set the networking mode for the RUN instructions during build");
        flags.text("platform", 0, platform, "Set platform if server is multi-platform capable");
        flags.text("iidfile", 0, id_file, "Write the image ID to the file");
        flags.boolean("no-cache", 0, no_cache, "Do not use cache when building the image");
        flags.boolean("pull", 0, pull, "Always attempt to pull a newer version of the image");
        flags.boolean(
            "quiet", 'q', quiet, "Suppress the build output and print image ID on success");
        flags.boolean("squash", 0, squash, "Squash newly built layers into a single new layer");
        flags.boolean("rm", 0, remove, "Remove intermediate containers after a successful build");
        flags.boolean("force-rm", 0, force_remove, "Always remove intermediate containers");
    }
};

json::Object build_arguments(const std::vector<std::string>& entries) {
    json::Object object;
    for (const std::string& entry : entries) {
        if (std::optional<Cut> parts = cut(entry, "=")) {
            object[parts->before] = parts->after;
        } else {
            // A name alone takes its value from our environment; without one the Dockerfile's
            // default stays.
            const char* value = std::getenv(entry.c_str());
            object[entry] = value ? json::Value(value) : json::Value(nullptr);
        }
    }
    return object;
}

Result<Query> query_of(const BuildFlags& flags, const std::string& dockerfile) {
    Query query;
    TRY(flags.limits.add_to(query));
    for (const std::string& host : flags.hosts) {
        query.add("extrahosts", host);
    }
    for (const std::string& tag : flags.tags) {
        query.add("t", tag);
    }
    query.add("dockerfile", dockerfile);
    query.add("buildargs", json::serialize(json::Value(build_arguments(flags.arguments))));
    query.add("labels", json::serialize(json::Value(pairs_of(flags.labels))));
    if (!flags.cache_from.empty()) {
        json::Array images(flags.cache_from.begin(), flags.cache_from.end());
        query.add("cachefrom", json::serialize(json::Value(std::move(images))));
    }
    for (const auto& [name, value] :
         {std::pair<const char*, const std::string&>{"target", flags.target},
          {"networkmode", flags.network},
          {"platform", flags.platform}}) {
        if (!value.empty()) {
            query.add(name, value);
        }
    }
    query.add("nocache", flags.no_cache);
    query.add("pull", flags.pull);
    query.add("rm", flags.remove);
    if (flags.squash) {
        query.add("squash", true);
    }
    query.add("forcerm", flags.force_remove);
    return query;
}

// Where the Dockerfile is: inside the context by its name there, elsewhere by its content.
Result<BuildContextOptions> find_dockerfile(const BuildFlags& flags, const std::string& folder) {
    BuildContextOptions context;
    context.folder = folder;
    context.dockerfile_name = "Dockerfile";
    if (flags.file.empty()) {
        if (!exists(folder + "/Dockerfile")) {
            return not_found(
                "unable to prepare context: unable to evaluate symlinks in Dockerfile path: "
                "lstat " +
                folder + "/Dockerfile: no such file or directory");
        }
        return context;
    }
    char* resolved_folder = ::realpath(folder.c_str(), nullptr);
    char* resolved_file = flags.file == "-" ? nullptr : ::realpath(flags.file.c_str(), nullptr);
    std::string root = std::string(resolved_folder ? resolved_folder : "") + "/";
    std::string file = resolved_file ? resolved_file : "";
    std::free(resolved_folder);
    std::free(resolved_file);
    if (flags.file != "-" && file.empty()) {
        return not_found(
            "unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat " +
            flags.file + ": no such file or directory");
    }
    if (!file.empty() && file.starts_with(root)) {
        context.dockerfile_name = file.substr(root.size());
        return context;
    }
    context.dockerfile =
        file.empty() ? TRY(read_all(FdRef::unowned(STDIN_FILENO), 1U << 20)) : TRY(read_file(file));
    context.dockerfile_name = ".dockerfile." + std::to_string(::getpid());
    return context;
}

} // namespace

Result<int> build(Session& session, const Invocation& invocation) {
    Flags flags;
    BuildFlags chosen;
    chosen.declare(flags);
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 1, .most = 1);
    const std::string& path = arguments[0];
    if (path.starts_with("http://") || path.starts_with("https://") || path.starts_with("git@")) {
        return not_implemented(
            "a remote build context is not supported: clone or download it and give its folder");
    }
    std::unique_ptr<ByteSource> source;
    std::string dockerfile = "Dockerfile";
    if (path == "-") {
        source = TRY(open_given_context(FdRef::unowned(STDIN_FILENO), chosen.file));
        dockerfile = chosen.file.empty() ? dockerfile : chosen.file;
    } else {
        struct stat status {};

        if (::stat(path.c_str(), &status) < 0 || !S_ISDIR(status.st_mode)) {
            return not_found("unable to prepare context: path \"" + path + "\" not found");
        }
        BuildContextOptions context = TRY(find_dockerfile(chosen, path));
        dockerfile = context.dockerfile_name;
        source = TRY(open_build_context(context));
    }
    const Query query = TRY(query_of(chosen, dockerfile));
    std::string credentials = TRY(session.registry_config());
    std::unique_ptr<ByteSource> answer = TRY(session.stream(
        {.method = "POST",
         .target = "/build" + query.text(),
         .content_type = "application/x-tar",
         .registry_config = credentials,
         .body = source.get()}));
    json::Value aux;
    int step_code = 0;
    Result<void> built =
        print_progress(*answer, {.quiet = chosen.quiet, .aux = &aux, .error_code = &step_code});
    if (!built.ok()) {
        print_error("berth: " + built.error().message() + "\n");
        return step_code != 0 ? step_code : 1;
    }
    std::string id = text_of(aux, "ID");
    if (chosen.quiet) {
        TRY(print(id + "\n"));
    }
    if (!chosen.id_file.empty()) {
        TRY(replace_file(chosen.id_file, id, 0644, Sync::No));
    }
    return 0;
}

} // namespace berth::cli::commands
