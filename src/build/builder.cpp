// SPDX-License-Identifier: Apache-2.0
// The face of the builder: requests in, names and last lines out.
#include "build/builder.h"

#include "base/log.h"
#include "build/build_database.h"
#include "build/build_job.h"
#include "build/step_runner.h"

namespace berth::build {

struct Builder::State {
    State(BuilderOptions given, const BuildDatabase& database)
        : options(std::move(given))
        , cache(options.store, database, options.data_root) {}

    BuilderOptions options;
    BuildCache cache;
};

namespace {

// Behind the job in every way: what that held is free when it is given.
class EndNotice {
  public:
    explicit EndNotice(const std::function<void()>& notice)
        : notice_(notice) {}

    EndNotice(const EndNotice&) = delete;
    EndNotice& operator=(const EndNotice&) = delete;

    ~EndNotice() {
        if (notice_) {
            notice_();
        }
    }

  private:
    const std::function<void()>& notice_;
};

} // namespace

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
    // The collector may live longer than the builder, and no longer than the store.
    options.store.garbage_collector().add_roots([database] { return BuildCache::roots(database); });
    return std::make_unique<Builder>(
        Private(), std::make_unique<State>(std::move(options), database));
}

Result<BuildResult> Builder::build(
    std::stop_token stop,
    const BuildRequest& request,
    ContextSource& context,
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
    const EndNotice notice(state_->options.ended);
    BuildJob job(state_->options, state_->cache, request, callbacks, std::move(stop));
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

Result<std::vector<CacheRecord>> Builder::cache_records() {
    return state_->cache.records();
}

Result<CachePruneReport> Builder::prune_cache(std::stop_token stop, const CacheRule& rule) {
    CachePruneReport report = TRY(state_->cache.prune(rule));
    if (!report.deleted.empty()) {
        TRY(state_->options.store.garbage_collector().collect(
            std::move(stop), {.released = report.released, .only_released = true}));
    }
    return report;
}

Result<CachePruneReport> Builder::collect_garbage(std::size_t bound) {
    CachePruneReport all;
    for (const CacheRule& rule : state_->options.cache_policy) {
        CachePruneReport report = TRY(state_->cache.prune(rule, bound - all.deleted.size()));
        all.deleted.insert(all.deleted.end(), report.deleted.begin(), report.deleted.end());
        all.space_reclaimed += report.space_reclaimed;
        all.released.merge(report.released);
        if (report.more) {
            all.more = true;
            break;
        }
    }
    return all;
}

} // namespace berth::build
