// SPDX-License-Identifier: Apache-2.0
// One solve of BuildKit's API.
#include "api/buildkit_solve.h"

#include "base/random.h"
#include "base/strings.h"
#include "engine/images.h"

#include <algorithm>
#include <chrono>

namespace berth::api {

namespace {

constexpr std::size_t running_limit = 128;
constexpr std::size_t finished_limit = 16;
constexpr std::size_t result_limit = 64; // of one solve
constexpr std::size_t ref_limit = 256;
constexpr std::chrono::seconds wait_limit{5};

struct Export {
    std::string type;
    std::map<std::string, std::string> attributes;
};

Result<std::optional<Export>> export_of(const build::control::SolveRequest& request) {
    if (request.exporters_size() > 1) {
        return not_implemented("more than one output (--output) is not implemented");
    }
    std::optional<Export> wanted;
    if (request.exporters_size() == 1) {
        const auto& given = request.exporters(0);
        wanted = Export{given.type(), {given.attrs().begin(), given.attrs().end()}};
    } else if (!request.exporter().empty()) {
        const auto& attributes = request.exporter_attrs();
        wanted = Export{request.exporter(), {attributes.begin(), attributes.end()}};
    }
    if (!wanted) {
        return wanted;
    }
    if (wanted->type != "moby" && wanted->type != "image") {
        return not_implemented(
            "the output type \"" + wanted->type +
            "\" is not implemented; images of this engine are (--load, --push)");
    }
    if (wanted->attributes.contains("push") && wanted->attributes.at("push") == "true" &&
        wanted->type == "image") {
        return not_implemented("pushing within the build is not implemented; use --push");
    }
    return wanted;
}

} // namespace

Result<std::shared_ptr<Solve>> Solve::create(const build::control::SolveRequest& request) {
    if (request.ref().empty() || request.ref().size() > ref_limit) {
        return invalid_argument("a solve needs a ref of at most 256 bytes");
    }
    if (request.definition().def_size() > 0) {
        return not_implemented(
            "solving a low-level definition (LLB) is not implemented; build a Dockerfile");
    }
    if (!request.frontend().empty() && request.frontend() != "dockerfile.v0") {
        return not_implemented(
            "the frontend \"" + request.frontend() + "\" is not implemented; dockerfile.v0 is");
    }
    for (const auto& cache : request.cache().exports()) {
        if (cache.type() != "inline") {
            return not_implemented(
                "exporting the build cache (--cache-to type=" + cache.type() +
                ") is not implemented");
        }
    }
    for (const std::string& entitlement : request.entitlements()) {
        return not_implemented("the entitlement " + entitlement + " (--allow) is not implemented");
    }
    auto solve = std::make_shared<Solve>();
    const auto wanted = TRY(export_of(request));
    solve->has_exporter_ = wanted.has_value();
    if (wanted) {
        if (const auto names = wanted->attributes.find("name"); names != wanted->attributes.end()) {
            for (const std::string_view name : split(names->second, ',')) {
                if (!name.empty()) {
                    auto reference = TRY(oci::Reference::parse_normalized(name));
                    if (reference.has_digest()) {
                        return invalid_argument("build tag cannot contain a digest");
                    }
                    solve->names_.push_back(reference.with_default_tag());
                }
            }
        }
    }
    solve->ref_ = request.ref();
    solve->session_ = request.session();
    solve->frontend_ = request.frontend();
    solve->attributes_.insert(request.frontend_attrs().begin(), request.frontend_attrs().end());
    return solve;
}

Result<std::string> Solve::build(
    BuildKit& buildkit, const std::stop_token& stop, const FrontendAttributes& attributes) {
    auto request = TRY(parse_frontend_attributes(attributes));
    request.keep_image = has_exporter_;
    std::string files;
    if (const auto given = attributes.find("local-sessionid:context"); given != attributes.end()) {
        files = given->second;
    }
    const oci::Digest image = TRY(buildkit.build(
        stop,
        {.request = std::move(request),
         .session = session_,
         .files_session = std::move(files),
         .upload = attributes.contains("context") ? attributes.at("context") : "",
         .ref = ref_ + random_hex(8)},
        [this](const std::string& message) { status_.add(message); }));
    const std::lock_guard lock(mutex_);
    if (images_.size() >= result_limit) {
        return Error(ErrorKind::ResourceExhausted, "a solve has too many results");
    }
    std::string name = random_hex(16);
    images_.emplace(name, image);
    return name;
}

void Solve::set_result(Result<std::string> result) {
    const std::lock_guard lock(mutex_);
    if (!result_) {
        result_ = std::move(result);
    }
    changed_.notify_all();
}

Result<std::string> Solve::wait_for_result(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [this] { return result_.has_value(); })) {
        return Error(ErrorKind::Cancelled, "build cancelled");
    }
    return *result_;
}

// moby's builder/builder-next/exporter/mobyexporter
Result<std::map<std::string, std::string>>
Solve::export_image(BuildKit& buildkit, const std::string& result) {
    std::map<std::string, std::string> answer;
    if (!has_exporter_) {
        return answer;
    }
    oci::Digest image;
    {
        const std::lock_guard lock(mutex_);
        const auto found = images_.find(result);
        if (found == images_.end()) {
            return invalid_argument("the build has no result to export");
        }
        image = found->second;
    }
    build::SolveStatus status(
        ref_ + "export", [this](const std::string& message) { status_.add(message); });
    const auto vertex = status.begin("exporting to image");
    status.progress("writing image " + image.to_string(), 1, 1);
    std::vector<std::string> names;
    for (const oci::Reference& name : names_) {
        const std::string text = name.to_string();
        auto tagged = buildkit.services().engine->images().tag(
            image.to_string(), std::string(cut_last(text, ":")->before), name.tag());
        if (!tagged.ok()) {
            status.end(vertex, build::BuildObserver::Outcome::Failed, tagged.error().message());
            return std::move(tagged).error();
        }
        status.progress("naming to " + text, 1, 1);
        names.push_back(text);
    }
    status.end(vertex, build::BuildObserver::Outcome::Done, "");
    answer["containerimage.digest"] = image.to_string();
    answer["containerimage.config.digest"] = image.to_string();
    if (!names.empty()) {
        answer["image.name"] = join(names, ",");
    }
    return answer;
}

void Solve::finish() {
    set_result(Error(ErrorKind::Cancelled, "the solve has ended"));
    status_.close();
}

Result<void> Solves::add(const std::shared_ptr<Solve>& solve) {
    const std::lock_guard lock(mutex_);
    if (running_.size() >= running_limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            "there are " + std::to_string(running_limit) + " builds already, which is the limit");
    }
    if (!running_.emplace(solve->ref(), solve).second) {
        return conflict("job ID " + solve->ref() + " exists");
    }
    changed_.notify_all();
    return ok();
}

void Solves::finish(const std::shared_ptr<Solve>& solve) {
    solve->finish();
    const std::lock_guard lock(mutex_);
    running_.erase(solve->ref());
    finished_.push_back(solve);
    if (finished_.size() > finished_limit) {
        finished_.pop_front();
    }
}

Result<std::shared_ptr<Solve>>
Solves::wait_for(const std::stop_token& stop, const std::string& ref) {
    std::shared_ptr<Solve> found;
    std::unique_lock lock(mutex_);
    const bool in_time = changed_.wait_for(lock, stop, wait_limit, [&] {
        const auto running = running_.find(ref);
        const auto finished =
            std::ranges::find(finished_, ref, [](const auto& solve) { return solve->ref(); });
        if (running != running_.end()) {
            found = running->second;
        } else if (finished != finished_.end()) {
            found = *finished;
        }
        return found != nullptr;
    });
    if (!in_time) {
        return not_found("no such job " + ref);
    }
    return found;
}

} // namespace berth::api
