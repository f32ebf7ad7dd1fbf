// SPDX-License-Identifier: Apache-2.0
// Stages in the order of the file, those only that the target needs.
#include "build/build_job.h"

#include "base/strings.h"
#include "build/squash.h"
#include "build/stage_executor.h"
#include "store/image_choice.h"

#include <algorithm>

#include <fcntl.h>

namespace berth::build {

namespace {

bool is_predefined(std::string_view name) {
    return std::find(std::begin(predefined_arguments), std::end(predefined_arguments), name) !=
           std::end(predefined_arguments);
}

void add_platform(Variables& variables, const std::string& prefix, const oci::Platform& platform) {
    variables[prefix + "PLATFORM"] = platform.to_string();
    variables[prefix + "OS"] = platform.os;
    variables[prefix + "ARCH"] = platform.architecture;
    variables[prefix + "VARIANT"] = platform.variant;
}

// Stages and images that an instruction takes files from.
std::vector<std::string> sources_of(const Instruction& instruction) {
    std::vector<std::string> sources;
    if (const std::string_view from = instruction.flag("from"); !from.empty()) {
        sources.emplace_back(from);
    }
    for (const auto& [name, value] : instruction.repeated_flags) {
        for (const std::string_view part : split(value, ',')) {
            if (name == "mount" && part.starts_with("from=")) {
                sources.emplace_back(part.substr(5));
            }
        }
    }
    return sources;
}

} // namespace

BuildJob::BuildJob(
    const BuilderOptions& options,
    BuildCache& cache,
    const BuildRequest& request,
    const BuildCallbacks& callbacks,
    std::stop_token stop)
    : options_(options)
    , cache_(cache)
    , request_(request)
    , callbacks_(callbacks)
    , stop_(std::move(stop))
    , lease_(options.store.images().lease()) {}

void BuildJob::output(std::string_view text) const {
    if (!request_.quiet && callbacks_.output) {
        callbacks_.output(text);
    }
}

void BuildJob::command_output(std::string_view bytes) const {
    output(bytes);
    if (callbacks_.observer != nullptr && vertex_) {
        callbacks_.observer->log(*vertex_, bytes);
    }
}

Error BuildJob::command_failed(int exit_code, const std::string& command) {
    if (failure_ != nullptr) {
        failure_->exit_code = exit_code;
    }
    const std::string code = std::to_string(exit_code);
    return invalid_argument(
        callbacks_.observer != nullptr
            ? "process \"" + command + "\" did not complete successfully: exit code: " + code
            : "The command '" + command + "' returned a non-zero code: " + code);
}

Result<void> BuildJob::observe(const std::string& name, const std::function<Result<void>()>& work) {
    BuildObserver* observer = callbacks_.observer;
    if (observer == nullptr || name.empty()) {
        return work();
    }
    const auto outer = vertex_;
    const BuildObserver::Vertex vertex = observer->begin(name);
    vertex_ = vertex;
    outcome_ = BuildObserver::Outcome::Done;
    auto done = work();
    const BuildObserver::Outcome outcome = done.ok() ? outcome_ : BuildObserver::Outcome::Failed;
    observer->end(vertex, outcome, done.ok() ? std::string_view() : done.error().message());
    vertex_ = outer;
    outcome_ = BuildObserver::Outcome::Done;
    return done;
}

ContextPlace BuildJob::place() const {
    return {
        .stop = stop_,
        .directory = options_.data_root + "/tmp",
        .limits = store().layers().limits()};
}

Result<const SourceTree*> BuildJob::context() {
    if (!context_) {
        TRY(observe("[internal] load build context", [this]() -> Result<void> {
            context_.emplace(TRY(source_->files(place())));
            return ok();
        }));
    }
    return &context_->tree();
}

Result<std::string> BuildJob::use_cache_mount(const CacheMounts::Wanted& wanted) {
    cache_mounts_.push_back(TRY(cache_.mounts().use(wanted)));
    return cache_mounts_.back()->path();
}

void BuildJob::announce(std::string_view original) {
    ++step_;
    output(
        "Step " + std::to_string(step_) + "/" + std::to_string(step_count_) + " : " +
        std::string(original) + "\n");
}

Result<void> BuildJob::load() {
    platform_ = oci::Platform::host();
    if (!request_.platform.empty()) {
        platform_ = TRY(oci::Platform::parse(request_.platform));
    }
    std::string text;
    TRY(observe(
        "[internal] load build definition from " + request_.dockerfile, [&]() -> Result<void> {
            text = TRY(source_->dockerfile(place(), request_.dockerfile));
            return ok();
        }));
    dockerfile_ = TRY(parse_dockerfile(text));
    return ok();
}

Result<std::string> BuildJob::expand_global(const std::string& text) const {
    return expand_word(text, global_args_, dockerfile_.escape);
}

Result<void> BuildJob::read_global_args() {
    add_platform(global_args_, "BUILD", oci::Platform::host());
    add_platform(global_args_, "TARGET", platform_);
    for (const Instruction& instruction : dockerfile_.global_args) {
        for (const Assignment& argument : instruction.assignments) {
            use_argument(argument.name);
            const auto given = request_.build_args.find(argument.name);
            if (given != request_.build_args.end() && given->second) {
                global_args_[argument.name] = *given->second;
            } else if (argument.value) {
                global_args_[argument.name] = TRY(expand_global(*argument.value));
            }
        }
    }
    return ok();
}

std::optional<std::size_t> BuildJob::stage_named(std::string_view name, std::size_t before) const {
    const std::string lower = to_lower(name);
    // The last of several stages with one name counts.
    for (std::size_t i = before; i-- > 0;) {
        if (!dockerfile_.stages[i].name.empty() && dockerfile_.stages[i].name == lower) {
            return i;
        }
    }
    return std::nullopt;
}

Result<std::size_t> BuildJob::target_stage() const {
    const std::size_t count = dockerfile_.stages.size();
    if (request_.target.empty()) {
        return count - 1;
    }
    if (const auto named = stage_named(request_.target, count)) {
        return *named;
    }
    const auto number = parse_number<std::size_t>(request_.target);
    if (number.ok() && *number < count) {
        return *number;
    }
    return invalid_argument("failed to reach build target " + request_.target + " in Dockerfile");
}

std::set<std::size_t> BuildJob::needed_stages(std::size_t target) const {
    std::set<std::size_t> needed{target};
    std::vector<std::size_t> pending{target};
    while (!pending.empty()) {
        const std::size_t index = pending.back();
        pending.pop_back();
        const Stage& stage = dockerfile_.stages[index];
        if (auto base = expand_global(stage.base); base.ok()) {
            // FROM takes no numbers.
            if (const auto named = stage_named(*base, index);
                named && needed.insert(*named).second) {
                pending.push_back(*named);
            }
        }
        for (const Instruction& instruction : stage.instructions) {
            for (const std::string& name : sources_of(instruction)) {
                auto found = stage_named(name, index);
                const auto number = parse_number<std::size_t>(name);
                if (!found && number.ok() && *number < index) {
                    found = *number;
                }
                if (found && needed.insert(*found).second) {
                    pending.push_back(*found);
                }
            }
        }
    }
    return needed;
}

Result<store::Image>
BuildJob::find_image(const std::string& name, const oci::Platform& platform, bool pull) {
    store::ImageStore& images = store().images();
    const auto find_here = [&](const std::string& text) -> Result<std::optional<store::Image>> {
        if (!TRY(images.find(text))) {
            return std::optional<store::Image>();
        }
        const std::vector<store::Image> found = TRY(images.platforms(text));
        if (found.front().id.hex().starts_with(text)) {
            return std::optional(found.front()); // whatever it runs on
        }
        if (const store::Image* best = store::best_for(found, platform)) {
            return std::optional(*best);
        }
        return std::optional<store::Image>();
    };
    if (!pull) {
        if (auto image = TRY(find_here(name))) {
            return std::move(*image);
        }
    }
    const oci::Reference reference = TRY(oci::Reference::parse_normalized(name)).with_default_tag();
    if (!callbacks_.pull) {
        return images.get(name);
    }
    TRY(callbacks_.pull(stop_, reference, platform));
    if (auto image = TRY(find_here(reference.to_string()))) {
        return std::move(*image);
    }
    return images.get(reference.to_string());
}

Result<StageState> BuildJob::begin_stage(std::size_t index) {
    const Stage& stage = dockerfile_.stages[index];
    const std::string base = TRY(expand_global(stage.base));
    if (base.empty()) {
        return invalid_argument("base name (" + stage.base + ") should not be blank");
    }
    oci::Platform platform = platform_;
    if (!stage.platform.empty()) {
        const std::string text = TRY(expand_global(stage.platform));
        platform = TRY(oci::Platform::parse(text));
    }
    StageState state;
    if (const auto parent = stage_named(base, index)) {
        state = finished_.at(*parent);
        state.from_id = state.image_id;
        state.from_config_json = state.config_json;
        state.cmd_set = false;
        state.args.clear();
        return state;
    }
    if (base == "scratch") {
        state.image.platform = platform;
        return state;
    }
    const store::Image image = TRY(find_image(base, platform, request_.pull));
    lease_.add_layer(image.chain_id);
    state.from_id = image.id;
    state.image_id = image.id;
    state.chain_id = image.chain_id;
    state.image = image.config;
    return state;
}

Result<void> BuildJob::run_triggers(std::size_t index, StageState& state) {
    const std::vector<std::string> triggers = std::move(state.image.config.on_build);
    state.image.config.on_build.clear();
    if (triggers.empty()) {
        return ok();
    }
    output(
        "# Executing " + std::to_string(triggers.size()) + " build trigger" +
        (triggers.size() > 1 ? "s" : "") + "\n");
    StageExecutor executor(*this, state, index);
    for (const std::string& trigger : triggers) {
        const Instruction instruction =
            TRY_CONTEXT(parse_instruction(trigger, dockerfile_.escape), "ONBUILD trigger");
        TRY(observe("[trigger] " + trigger, [&] { return executor.run(instruction); }));
    }
    return ok();
}

std::string BuildJob::vertex_name(std::size_t index, std::size_t position) const {
    const auto makes_files = [](const Instruction& instruction) {
        return instruction.keyword == Keyword::Run || instruction.keyword == Keyword::Copy ||
               instruction.keyword == Keyword::Add || instruction.keyword == Keyword::Workdir;
    };
    const Stage& stage = dockerfile_.stages[index];
    if (position > 0 && !makes_files(stage.instructions[position - 1])) {
        return {};
    }
    std::size_t number = 1;
    std::size_t count = 1;
    for (std::size_t i = 0; i < stage.instructions.size(); ++i) {
        const bool counts = makes_files(stage.instructions[i]);
        number += counts && i < position ? 1 : 0;
        count += counts ? 1 : 0;
    }
    std::string name = "[";
    if (dockerfile_.stages.size() > 1) {
        name += stage.name.empty() ? "stage-" + std::to_string(index) : stage.name;
        name += " ";
    }
    name += std::to_string(number) + "/" + std::to_string(count) + "] ";
    return name + (position == 0 ? stage.from.original : stage.instructions[position - 1].original);
}

Result<void> BuildJob::run_stage(std::size_t index) {
    const Stage& stage = dockerfile_.stages[index];
    announce(stage.from.original);
    StageState state;
    TRY(observe(vertex_name(index, 0), [&]() -> Result<void> {
        state = TRY(begin_stage(index));
        return ok();
    }));
    const auto show = [this, &state] { output(" ---> " + state.image_id.short_id() + "\n"); };
    auto& env = state.image.config.env;
    const bool has_path = std::any_of(env.begin(), env.end(), [](const std::string& entry) {
        return entry.starts_with("PATH=");
    });
    if (!has_path) {
        env.insert(
            env.begin(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    }
    TRY(run_triggers(index, state));
    show();
    StageExecutor executor(*this, state, index);
    for (std::size_t i = 0; i < stage.instructions.size(); ++i) {
        if (stop_.stop_requested()) {
            return Error(ErrorKind::Cancelled, "build cancelled");
        }
        const Instruction& instruction = stage.instructions[i];
        announce(instruction.original);
        TRY(observe(vertex_name(index, i + 1), [&] { return executor.run(instruction); }));
        show();
    }
    if (!state.image_id.empty() && callbacks_.image) {
        callbacks_.image(state.image_id);
    }
    finished_[index] = std::move(state);
    return ok();
}

Result<BuildJob::Source> BuildJob::source_from(const std::string& from, std::size_t before_stage) {
    oci::Digest image_id;
    oci::Digest chain_id;
    auto stage = stage_named(from, before_stage);
    // A number is a stage and never an image's name.
    if (const auto number = parse_number<std::int64_t>(from); !stage && number.ok()) {
        const auto current = static_cast<std::int64_t>(before_stage);
        if (*number < 0 || *number >= current) {
            return invalid_argument(
                "invalid from flag value " + from +
                (*number == current ? ": refers to current build stage" : ": index out of bounds"));
        }
        stage = static_cast<std::size_t>(*number);
    }
    if (stage) {
        image_id = finished_.at(*stage).image_id;
        chain_id = finished_.at(*stage).chain_id;
    } else {
        const store::Image image = TRY_CONTEXT(
            find_image(from, platform_, request_.pull), "invalid from flag value " + from);
        lease_.add_layer(image.chain_id);
        image_id = image.id;
        chain_id = image.chain_id;
    }
    if (const auto known = mounted_.find(chain_id); known != mounted_.end()) {
        return Source{known->second.tree.get(), image_id};
    }
    MountedSource source;
    source.layer = std::make_unique<WorkingLayer>(TRY(
        WorkingLayer::create(store().layers(), database(), chain_id, options_.labeling.shared)));
    source.tree =
        std::make_unique<SourceTree>(TRY(open_file(source.layer->path(), O_PATH | O_DIRECTORY)));
    const SourceTree* tree = source.tree.get();
    mounted_.emplace(chain_id, std::move(source));
    return Source{tree, image_id};
}

void BuildJob::warn_of_unused_arguments() const {
    std::vector<std::string> unused;
    for (const auto& [name, value] : request_.build_args) {
        if (!used_arguments_.contains(name) && !is_predefined(name)) {
            unused.push_back(name);
        }
    }
    if (!unused.empty()) {
        output("[Warning] One or more build-args [" + join(unused, " ") + "] were not consumed\n");
    }
}

Result<oci::Digest> BuildJob::run(ContextSource& context, StepFailure* failure) {
    failure_ = failure;
    source_ = &context;
    TRY(load());
    const std::size_t target = TRY(target_stage());
    if (!request_.labels.empty()) {
        dockerfile_.stages[target].instructions.push_back(make_label_instruction(request_.labels));
    }
    TRY(read_global_args());
    const std::set<std::size_t> needed = needed_stages(target);
    step_count_ = dockerfile_.global_args.size();
    for (const std::size_t index : needed) {
        step_count_ += 1 + dockerfile_.stages[index].instructions.size();
    }
    for (const Instruction& instruction : dockerfile_.global_args) {
        announce(instruction.original);
    }
    for (const std::size_t index : needed) {
        TRY(run_stage(index));
    }
    warn_of_unused_arguments();
    const StageState& last = finished_.at(target);
    if (last.image_id.empty()) {
        return invalid_argument("No image was generated. Is your Dockerfile empty?");
    }
    // Of all the steps' images only this one is kept as such.
    if (!last.config_json.empty() && request_.keep_image) {
        TRY(store().images().create({.config_json = last.config_json}));
    }
    if (!request_.squash) {
        return last.image_id;
    }
    const oci::Digest squashed = TRY_CONTEXT(
        squash_image(
            *this,
            {.image = last.image_id, .from = last.from_id, .from_config = last.from_config_json}),
        "error squashing image");
    if (callbacks_.image) {
        callbacks_.image(squashed);
    }
    return squashed;
}

} // namespace berth::build
