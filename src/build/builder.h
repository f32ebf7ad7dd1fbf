// SPDX-License-Identifier: Apache-2.0
// Builder: `docker build` in the daemon. It takes a context as a tar stream or from a client that
// is asked for its files, runs the Dockerfile's steps on the store, the network and monitors, and
// gives an image. Steps whose instruction and inputs did not change are looked up, not run.
#pragma once

#include "base/result.h"
#include "build/build_cache.h"
#include "build/build_observer.h"
#include "build/client_services.h"
#include "build/context_source.h"
#include "build/step_labels.h"
#include "codec/stream.h"
#include "io/event_loop.h"
#include "kernel/netlink_address.h"
#include "network/network.h"
#include "oci/digest.h"
#include "oci/platform.h"
#include "oci/reference.h"
#include "oci/runtime_config.h"
#include "store/store.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

// What every build of one engine shares. All references outlive the Builder.
struct BuilderOptions {
    store::Store& store;
    io::EventLoop& loop; // runs on another thread; the monitors' connections live in it
    // A network by name ("bridge", a user's network); NotFound in Docker's words otherwise.
    std::function<Result<std::shared_ptr<network::Network>>(const std::string& name)> find_network;
    // A namespace with nothing but lo, for --network none.
    std::function<Result<UniqueFd>()> isolated_namespace;
    std::string data_root; // R of the engine: R/tmp holds contexts, R/containers running steps
    std::string exec_root; // X of the engine: X/containers/<id>/monitor.sock, X/runtime
    std::string monitor_program = "berth-monitor";
    std::string cgroup_parent = "/docker";
    std::vector<std::string> dns; // the daemon's --dns, --dns-search, --dns-option
    std::vector<std::string> dns_search;
    std::vector<std::string> dns_options;
    // What host-gateway stands for in a step's --add-host; none or no function: nothing.
    std::function<std::vector<kernel::IpAddress>()> host_gateways;
    StepLabeling labeling;
    // AppArmor's, of RUN steps; "" or no function: none.
    std::function<std::string()> apparmor_profile;
    // What collect_garbage() applies, one after the other.
    std::vector<CacheRule> cache_policy;
    // A build has ended, one way or the other; may be empty.
    std::function<void()> ended;
};

// The parameters of POST /build that the builder acts on.
struct BuildRequest {
    std::string dockerfile = "Dockerfile"; // path within the context
    std::vector<std::string> tags;         // name[:tag]
    // nullopt: the name was given without a value; the Dockerfile's default stands.
    std::map<std::string, std::optional<std::string>> build_args;
    std::map<std::string, std::string> labels;
    std::string target;   // a stage's name or number; empty: the last
    std::string platform; // "linux/arm64"; empty: this machine's
    bool no_cache = false;
    bool pull = false;      // ask the registry even for base images that are here
    bool quiet = false;     // the output callback gets nothing but the final id
    bool squash = false;    // all layers above the base image's become one
    bool keep_image = true; // false: only the cache has what was built
    bool remove = true;     // accepted for `rm`; intermediate containers never stay here
    std::vector<std::string> extra_hosts; // "name:ip"
    std::vector<std::string> cache_from;  // accepted: every image that is here is a cache source
    std::string network_mode;             // "", "default", "bridge", "none", "host", a name
    std::int64_t shm_size = 0;            // 0: 64 MiB
    oci::Resources resources;             // memory, CPU and so on of RUN steps
    std::vector<oci::Rlimit> rlimits;
    std::string cgroup_parent; // empty: the engine's
};

struct BuildCallbacks {
    // Text as `docker build` prints it: "Step 1/3 : FROM busybox\n", " ---> 0123456789ab\n", a
    // step's own output as it comes. Called from the thread of build().
    std::function<void(std::string_view text)> output;
    // An image of a finished stage (the API's {"aux":{"ID":…}}). May be empty.
    std::function<void(const oci::Digest& id)> image;
    // Gets a base image into the store. Called when it is missing or BuildRequest::pull is set;
    // progress goes where the caller wants it. Empty: a missing image is NotFound.
    std::function<Result<void>(
        std::stop_token, const oci::Reference&, const oci::Platform& platform)>
        pull;
    // An image got a name: for the engine's events. May be empty.
    std::function<void(const oci::Digest& id, const oci::Reference& name)> tagged;
    BuildObserver* observer = nullptr; // nullptr: nobody follows the steps
    ClientServices* client = nullptr;  // nullptr: no secrets, no agent
};

// A step's command ended with a code that is not 0: the API repeats the code beside the message.
struct StepFailure {
    int exit_code = 0;
};

struct BuildResult {
    oci::Digest image_id;
};

// Thread-safe; builds run side by side, each on its caller's thread.
class Builder {
  public:
    // Brings the build cache's table up to date and removes what a killed engine left of builds.
    static Result<std::unique_ptr<Builder>> create(BuilderOptions options);
    ~Builder();
    Builder(const Builder&) = delete;
    Builder& operator=(const Builder&) = delete;

    // Takes what it needs of the context. Blocks until the image is there.
    // A stop request kills the running step; Cancelled, and nothing is left but cached steps.
    // Errors in Docker's words: "dockerfile parse error on line 3: unknown instruction: BAZAAR",
    // "The command '/bin/sh -c false' returned a non-zero code: 1" (with an observer in BuildKit's
    // words). For the latter, failure (when not null) gets the code.
    Result<BuildResult> build(
        std::stop_token stop,
        const BuildRequest& request,
        ContextSource& context,
        const BuildCallbacks& callbacks,
        StepFailure* failure = nullptr);

    // What docker system df lists as build cache.
    Result<std::vector<CacheRecord>> cache_records();

    // docker builder prune: by one rule, and frees what it had.
    Result<CachePruneReport> prune_cache(std::stop_token stop, const CacheRule& rule);

    // By the policy; at most `bound` records at a time. The caller's garbage collection frees what
    // they had.
    Result<CachePruneReport> collect_garbage(std::size_t bound);

  private:
    struct State;

    // Lets only create() use the public constructor that make_unique needs.
    struct Private {};

  public:
    Builder(Private, std::unique_ptr<State> state);

  private:
    std::unique_ptr<State> state_;
};

} // namespace berth::build
