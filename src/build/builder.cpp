// SPDX-License-Identifier: Apache-2.0
// The face of the builder: requests in, names and last lines out.
#include "build/builder.h"

#include "base/log.h"
#include "build/build_database.h"
#include "build/build_job.h"
#include "build/step_runner.h"

namespace berth::build {

struct Builder::State {
    BuilderOptions options;
    BuildDatabase database;
};

Builder::Builder(Private, std::unique_ptr<State> state)
    : state_(std::move(state)) {}

Builder::~Builder() = default;

Result<std::unique_ptr<Builder>> Builder::create(BuilderOptions options) {
    BuildDatabase database = TRY(BuildDatabase::open(options.store.database()));
    for (const std::string& id : TRY(database.list_work())) {
        remove_step_leftovers(options, id);
        auto removed = options.store.layers().remove_writable(id);
        if (!removed.ok()) {
            log::warn(
                "build step's layer not removed, ignoring",
                {{"id", id}, {"error", removed.error().message()}});
            continue;
        }
        TRY(database.remove_work(id));
    }
    return std::make_unique<Builder>(
        Private(), std::make_unique<State>(State{std::move(options), database}));
}

Result<BuildResult> Builder::build(
    std::stop_token stop,
    const BuildRequest& request,
    ByteSource& context,
    const BuildCallbacks& callbacks,
    StepFailure* failure) {
    std::vector<oci::Reference> names;
    for (const std::string& tag : request.tags) {
        const oci::Reference reference = TRY(oci::Reference::parse_normalized(tag));
        if (reference.has_digest()) {
            return invalid_argument("build tag cannot contain a digest");
        }
        names.push_back(reference.with_default_tag());
    }
    BuildJob job(state_->options, state_->database, request, callbacks, std::move(stop));
    const oci::Digest id = TRY(job.run(context, failure));
    const auto say = [&callbacks](const std::string& text) {
        if (callbacks.output) {
            callbacks.output(text);
        }
    };
    if (request.quiet) {
        say(id.to_string() + "\n");
    } else {
        say("Successfully built " + id.short_id() + "\n");
    }
    for (const oci::Reference& name : names) {
        TRY(state_->options.store.images().tag(id, name));
        if (callbacks.tagged) {
            callbacks.tagged(id, name);
        }
        if (!request.quiet) {
            say("Successfully tagged " + name.familiar() + "\n");
        }
    }
    return BuildResult{id};
}

Result<Builder::PruneResult> Builder::prune_cache() {
    return PruneResult{.entries = TRY(state_->database.forget_steps())};
}

} // namespace berth::build
