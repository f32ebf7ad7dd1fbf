// SPDX-License-Identifier: Apache-2.0
// One build: its context, its stages, and what the steps of all stages share.
#pragma once

#include "base/result.h"
#include "build/build_cache.h"
#include "build/build_context.h"
#include "build/build_database.h"
#include "build/builder.h"
#include "build/context_source.h"
#include "build/dockerfile.h"
#include "build/source_tree.h"
#include "build/word_expansion.h"
#include "build/working_layer.h"
#include "oci/image_config.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

// Arguments that RUN gets without an ARG, and that no image remembers.
// https://docs.docker.com/reference/dockerfile/#predefined-args
inline constexpr std::string_view predefined_arguments[] = {
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy"};

// An image on its way: what the next step starts from.
struct StageState {
    oci::Digest from_id;          // of FROM; empty: scratch
    std::string from_config_json; // where FROM names a stage that is no image of the store
    oci::Digest image_id;         // empty: FROM scratch and no step yet
    oci::Digest chain_id;
    oci::ImageConfig image;
    std::string config_json; // hashes to image_id; empty: an image that was there before
    bool cmd_set = false;    // a CMD of this Dockerfile, which ENTRYPOINT leaves alone
    Variables args;          // declared by ARG in this stage, with a value
};

// Lives for one build, on one thread.
class BuildJob {
  public:
    BuildJob(
        const BuilderOptions& options,
        BuildCache& cache,
        const BuildRequest& request,
        const BuildCallbacks& callbacks,
        std::stop_token stop);

    Result<oci::Digest> run(ContextSource& context, StepFailure* failure);

    // --- for the steps ---

    const BuilderOptions& options() const { return options_; }

    const BuildRequest& request() const { return request_; }

    const BuildDatabase& database() const { return cache_.database(); }

    // A cache's directory, kept until the build ends.
    Result<std::string> use_cache_mount(const CacheMounts::Wanted& wanted);

    store::Store& store() const { return options_.store; }

    store::Lease& lease() { return lease_; }

    std::stop_token stop() const { return stop_; }

    // The client's files, got when a step first wants them.
    Result<const SourceTree*> context();

    ClientServices* client() const { return callbacks_.client; }

    char escape() const { return dockerfile_.escape; }

    const oci::Platform& platform() const { return platform_; }

    const Variables& global_args() const { return global_args_; }

    // A step's command ended with that code.
    Error command_failed(int exit_code, const std::string& command);
    void output(std::string_view text) const;
    // What a step's command says.
    void command_output(std::string_view bytes) const;

    // The step that runs was found in the cache.
    void set_cached() { outcome_ = BuildObserver::Outcome::Cached; }

    void use_argument(const std::string& name) { used_arguments_.insert(name); }

    // A stage by name or number, or an image, as files to copy from; with the image's id.
    struct Source {
        const SourceTree* tree = nullptr;
        oci::Digest image_id;
    };

    Result<Source> source_from(const std::string& from, std::size_t before_stage);

    Result<store::Image>
    find_image(const std::string& name, const oci::Platform& platform, bool pull);

  private:
    Result<void> load();
    ContextPlace place() const;
    // Runs the work as a vertex of the observer's, where there is one.
    Result<void> observe(const std::string& name, const std::function<Result<void>()>& work);
    Result<void> read_global_args();
    Result<std::size_t> target_stage() const;
    std::set<std::size_t> needed_stages(std::size_t target) const;
    std::optional<std::size_t> stage_named(std::string_view name, std::size_t before) const;
    Result<std::string> expand_global(const std::string& text) const;
    Result<StageState> begin_stage(std::size_t index);
    Result<void> run_stage(std::size_t index);
    Result<void> run_triggers(std::size_t index, StageState& state);
    void announce(std::string_view original);
    // "[build 2/4] RUN make": what BuildKit calls a step; "" for one that only changes the
    // configuration.
    std::string vertex_name(std::size_t index, std::size_t position) const;
    void warn_of_unused_arguments() const;

    const BuilderOptions& options_;
    BuildCache& cache_;
    const BuildRequest& request_;
    const BuildCallbacks& callbacks_;
    std::stop_token stop_;
    store::Lease lease_;
    StepFailure* failure_ = nullptr;
    ContextSource* source_ = nullptr;
    std::optional<BuildContext> context_;
    Dockerfile dockerfile_;
    oci::Platform platform_;
    Variables global_args_;
    std::set<std::string> used_arguments_;
    std::map<std::size_t, StageState> finished_;

    // Mounted for COPY --from, by chain id.
    struct MountedSource {
        std::unique_ptr<WorkingLayer> layer;
        std::unique_ptr<SourceTree> tree;
    };

    std::map<oci::Digest, MountedSource> mounted_;
    std::vector<std::unique_ptr<CacheMounts::Use>> cache_mounts_;
    std::size_t step_ = 0;
    std::size_t step_count_ = 0;
    std::optional<BuildObserver::Vertex> vertex_; // the innermost
    BuildObserver::Outcome outcome_ = BuildObserver::Outcome::Done;
};

} // namespace berth::build
