// SPDX-License-Identifier: Apache-2.0
// After moby's pkg/plugins (discovery.go, client.go, plugins.go) and volume/drivers (proxy.go,
// adapter.go): where plugins are looked for, how often they are asked again, what they answer.
#include "engine/volume_plugins.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "codec/json.h"
#include "engine/plugin_endpoint.h"

#include <algorithm>
#include <atomic>
#include <climits>
#include <mutex>
#include <set>
#include <thread>

namespace berth::engine {
namespace {

constexpr std::size_t volume_answer_limit = 16U << 20;

Error said_by_plugin(ErrorKind kind, const std::string& context, std::string_view words) {
    return Error(kind, context + std::string(words.substr(0, plugin_words_limit)));
}

std::string object_text(const json::Object& object) {
    return json::serialize(json::Value(object));
}

json::Object named(const std::string& volume) {
    return json::Object{{"Name", volume}};
}

Result<json::Value> parse_answer(const std::string& text) {
    if (trim(text).empty()) {
        return json::Value(json::Object());
    }
    json::Value answer = TRY_CONTEXT(json::parse(text), "answer of a plugin");
    const std::string_view problem = json::find_string(answer, "Err");
    if (!problem.empty()) {
        return said_by_plugin(ErrorKind::Internal, "", problem);
    }
    return answer;
}

PluginVolume volume_of(const json::Value& value) {
    PluginVolume volume;
    volume.name = json::find_string(value, "Name");
    volume.mountpoint = json::find_string(value, "Mountpoint");
    volume.created_at = json::find_string(value, "CreatedAt");
    const json::Value* status = json::find(value, "Status");
    if (status != nullptr && status->is_object() && !status->get_object().empty()) {
        volume.status = json::serialize(*status);
    }
    return volume;
}

} // namespace

struct VolumePlugins::Plugin {
    explicit Plugin(http::Client found)
        : client(std::move(found)) {}

    http::Client client;
    std::mutex activation; // held while it is asked what it is
    std::atomic<bool> is_known = false;
    std::atomic<bool> is_volume_driver = false;
    Synchronized<std::string> scope;
    // Until then nobody asks it in passing: it has just left such a question without an answer.
    std::atomic<std::chrono::steady_clock::time_point> silent_until{};
};

VolumePlugins::VolumePlugins()
    : VolumePlugins(Options()) {}

VolumePlugins::VolumePlugins(Options options)
    : options_(std::move(options)) {}

VolumePlugins::~VolumePlugins() = default;

Result<VolumePlugins::PluginPtr> VolumePlugins::find(const std::string& driver, Patience patience) {
    PluginPtr plugin;
    {
        auto active = active_.lock();
        if (auto found = active->find(driver); found != active->end()) {
            plugin = found->second;
        }
    }
    if (plugin == nullptr) {
        auto made = std::make_shared<Plugin>(TRY_CONTEXT(
            find_plugin(
                {.sockets = options_.sockets, .specifications = options_.specifications}, driver),
            "error looking up volume plugin " + driver));
        plugin = active_.lock()->emplace(driver, std::move(made)).first->second;
    }
    if (patience == Patience::None &&
        std::chrono::steady_clock::now() < plugin->silent_until.load()) {
        return Error(ErrorKind::Unavailable, "it did not answer lately");
    }
    if (!plugin->is_known) {
        TRY_CONTEXT(
            activate(*plugin, driver, patience), "error looking up volume plugin " + driver);
    }
    if (!plugin->is_volume_driver) {
        return not_found(
            "error looking up volume plugin " + driver + ": plugin \"" + driver +
            "\" does not implement the requested driver \"VolumeDriver\"");
    }
    return plugin;
}

Result<void> VolumePlugins::activate(Plugin& plugin, const std::string& driver, Patience patience) {
    const auto silent_until = plugin.silent_until.load();
    std::unique_lock activation(plugin.activation, std::defer_lock);
    if (patience == Patience::Full) {
        activation.lock();
    } else if (!activation.try_lock()) {
        return Error(ErrorKind::Unavailable, "it does not answer yet");
    }
    if (plugin.is_known) {
        return ok();
    }
    if (plugin.silent_until.load() > silent_until) { // whoever asked before was left waiting
        return Error(ErrorKind::Unavailable, "it did not answer just now");
    }
    auto text = call(plugin, {"Plugin.Activate", "", patience});
    if (!text.ok()) {
        const bool is_silent = plugin.silent_until.load() > silent_until;
        if (patience == Patience::Full || !is_silent) {
            active_.lock()->erase(driver); // looked for again the next time
        }
        return std::move(text).error();
    }
    const json::Value answer = TRY(parse_answer(*text));
    const json::Value* implements = json::find(answer, "Implements");
    if (implements != nullptr && implements->is_array()) {
        plugin.is_volume_driver =
            std::ranges::any_of(implements->get_array(), [](const json::Value& name) {
                return name.is_string() && name.get_string() == "VolumeDriver";
            });
    }
    plugin.is_known = true;
    return ok();
}

// As moby's volume/drivers/proxy.go.
std::chrono::milliseconds VolumePlugins::answer_time(const Call& call) const {
    if (call.patience == Patience::None) {
        return options_.glance_time;
    }
    return call.method == "VolumeDriver.Create" || call.method == "VolumeDriver.Mount"
               ? options_.long_time
               : options_.short_time;
}

Error VolumePlugins::given_up(Plugin& plugin, const Call& call, const Error& error) const {
    // A first answer that does not come is a broken connection to the client.
    if (error.kind() != ErrorKind::DeadlineExceeded && error.kind() != ErrorKind::DataLoss) {
        return error;
    }
    plugin.silent_until = std::chrono::steady_clock::now() + options_.silence;
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(answer_time(call)).count();
    return Error(
        ErrorKind::DeadlineExceeded,
        std::string(call.method) + ": the plugin at " + plugin.client.endpoint().to_string() +
            " gave no answer within " + std::to_string(seconds) + " s");
}

// Where it cannot be reached, again after 1, 2, 4, 8 … s: it may be about to start.
Result<std::string> VolumePlugins::call(Plugin& plugin, const Call& call) const {
    http::Client& client = plugin.client;
    using clock = std::chrono::steady_clock;
    const clock::time_point start = clock::now();
    std::chrono::milliseconds wait = options_.first_wait;
    while (true) {
        auto response = client.request(
            {.method = "POST",
             .target = "/" + std::string(call.method),
             .headers = {{"Accept", plugin_media_type}, {"Content-Type", plugin_media_type}},
             .body = call.body,
             .answer_time = answer_time(call)});
        if (response.ok()) {
            auto body = response->read_body(volume_answer_limit);
            if (!body.ok()) {
                return given_up(plugin, call, body.error());
            }
            const std::string text = *std::move(body);
            plugin.silent_until = clock::time_point();
            if (response->status == 200) {
                return text;
            }
            const auto document = json::parse(text);
            const std::string words(
                document.ok() ? json::find_string(*document, "Err") : std::string_view(text));
            return said_by_plugin(
                response->status == 404 ? ErrorKind::NotFound : ErrorKind::Internal,
                std::string(call.method) + ": ",
                words.empty() ? text : words);
        }
        const bool unreachable = response.error().kind() == ErrorKind::Unavailable ||
                                 response.error().kind() == ErrorKind::Forbidden;
        if (!unreachable || call.patience == Patience::None ||
            clock::now() + wait - start >= options_.patience) {
            return given_up(plugin, call, response.error());
        }
        log::warn(
            "unable to connect to plugin, retrying",
            {{"plugin", client.endpoint().to_string()}, {"error", response.error().message()}});
        std::this_thread::sleep_for(wait);
        wait *= 2;
    }
}

Result<void> VolumePlugins::create(
    const std::string& driver, const std::string& volume, const StringMap& options) {
    const PluginPtr plugin = TRY(find(driver));
    json::Object body = named(volume);
    body["Opts"] = json::encode(options);
    const std::string text = TRY(call(*plugin, {"VolumeDriver.Create", object_text(body)}));
    TRY(parse_answer(text));
    return ok();
}

Result<void> VolumePlugins::remove(const std::string& driver, const std::string& volume) {
    const PluginPtr plugin = TRY(find(driver));
    const std::string text =
        TRY(call(*plugin, {"VolumeDriver.Remove", object_text(named(volume))}));
    TRY(parse_answer(text));
    return ok();
}

Result<std::string> VolumePlugins::mount(
    const std::string& driver, const std::string& volume, const std::string& user) {
    const PluginPtr plugin = TRY(find(driver));
    json::Object body = named(volume);
    body["ID"] = user;
    const std::string text = TRY(call(*plugin, {"VolumeDriver.Mount", object_text(body)}));
    const json::Value answer = TRY(parse_answer(text));
    std::string path(json::find_string(answer, "Mountpoint"));
    if (!path.starts_with('/') || path.size() >= PATH_MAX) {
        return Error(
            ErrorKind::Internal,
            "VolumeDriver.Mount: plugin " + driver + " gave no absolute path for volume " + volume);
    }
    return path;
}

Result<void> VolumePlugins::unmount(
    const std::string& driver, const std::string& volume, const std::string& user) {
    const PluginPtr plugin = TRY(find(driver));
    json::Object body = named(volume);
    body["ID"] = user;
    const std::string text = TRY(call(*plugin, {"VolumeDriver.Unmount", object_text(body)}));
    TRY(parse_answer(text));
    return ok();
}

Result<std::optional<PluginVolume>>
VolumePlugins::get(const std::string& driver, const std::string& volume, Patience patience) {
    const PluginPtr plugin = TRY(find(driver, patience));
    const std::string text =
        TRY(call(*plugin, {"VolumeDriver.Get", object_text(named(volume)), patience}));
    const auto answer = parse_answer(text);
    const json::Value* found = answer.ok() ? json::find(*answer, "Volume") : nullptr;
    if (found == nullptr || !found->is_object()) {
        return std::optional<PluginVolume>(); // as Docker takes any error here
    }
    return std::optional(volume_of(*found));
}

Result<std::vector<PluginVolume>>
VolumePlugins::list(const std::string& driver, Patience patience) {
    const PluginPtr plugin = TRY(find(driver, patience));
    const std::string text = TRY(call(*plugin, {"VolumeDriver.List", "{}", patience}));
    const json::Value answer = TRY(parse_answer(text));
    std::vector<PluginVolume> volumes;
    const json::Value* listed = json::find(answer, "Volumes");
    if (listed != nullptr && listed->is_array()) {
        for (const json::Value& volume : listed->get_array()) {
            volumes.push_back(volume_of(volume));
        }
    }
    return volumes;
}

std::string VolumePlugins::scope(const std::string& driver) {
    auto plugin = find(driver, Patience::None);
    if (!plugin.ok()) {
        return "local";
    }
    if (std::string known = *(*plugin)->scope.lock(); !known.empty()) {
        return known;
    }
    const auto text = call(**plugin, {"VolumeDriver.Capabilities", "{}", Patience::None});
    const auto answer = text.ok() ? parse_answer(*text) : Result<json::Value>(text.error());
    const json::Value* capabilities = answer.ok() ? json::find(*answer, "Capabilities") : nullptr;
    const std::string told = capabilities == nullptr
                                 ? std::string()
                                 : to_lower(json::find_string(*capabilities, "Scope"));
    std::string scope = told == "global" ? "global" : "local";
    *(*plugin)->scope.lock() = scope;
    return scope;
}

std::vector<std::string> VolumePlugins::names() const {
    std::set<std::string> names;
    const auto add = [&names](const std::string& folder, auto is_plugin) {
        const auto entries = list_directory(folder);
        for (const std::string& name : entries.ok() ? *entries : std::vector<std::string>()) {
            for (std::string_view extension : {".sock", ".spec", ".json"}) {
                const std::string inner = folder + "/" + name + "/" + name;
                if (name.ends_with(extension) && is_plugin(folder + "/" + name)) {
                    names.insert(name.substr(0, name.size() - extension.size()));
                } else if (is_plugin(inner + std::string(extension))) {
                    names.insert(name);
                }
            }
        }
    };
    add(options_.sockets, is_plugin_socket);
    for (const std::string& folder : options_.specifications) {
        add(folder,
            [](const std::string& path) { return exists(path) && !is_plugin_socket(path); });
    }
    auto active = active_.lock();
    for (const auto& [name, plugin] : *active) {
        if (plugin->is_known && !plugin->is_volume_driver) {
            names.erase(name);
        }
    }
    return {names.begin(), names.end()};
}

} // namespace berth::engine
