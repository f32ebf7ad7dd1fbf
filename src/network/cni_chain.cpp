// SPDX-License-Identifier: Apache-2.0
// The input of each plugin, and who is asked in which order.
#include "network/cni_chain.h"

namespace berth::network {
namespace {

// A list with the one version that is used, as an attachment keeps it.
struct Chain {
    CniConfiguration configuration;
    std::string version;

    static Result<Chain> of(const CniAttachment& attachment) {
        CniConfiguration configuration = TRY(CniConfiguration::parse(attachment.configuration));
        std::string version = configuration.versions.back();
        return Chain{.configuration = std::move(configuration), .version = std::move(version)};
    }
};

// "Deriving runtime configuration": the plugin's own words, without its capabilities.
json::Object derive(
    const CniConfiguration& configuration,
    const CniPluginConfiguration& plugin,
    const std::string& version) {
    json::Object input = plugin.object;
    input.erase("capabilities");
    input["name"] = configuration.name;
    input["cniVersion"] = version;
    return input;
}

json::Object derive_for(
    const Chain& chain,
    const CniPluginConfiguration& plugin,
    const CniAttachment& attachment,
    const json::Value& previous) {
    json::Object input = derive(chain.configuration, plugin, chain.version);
    json::Object values;
    for (const auto& [capability, value] : attachment.capability_values) {
        if (plugin.has_capability(capability)) {
            values[capability] = value;
        }
    }
    if (!values.empty()) {
        input["runtimeConfig"] = std::move(values);
    }
    if (!attachment.ips.empty()) {
        json::Array ips;
        for (const std::string& ip : attachment.ips) {
            ips.emplace_back(ip);
        }
        json::Object arguments;
        if (const auto found = input.find("args");
            found != input.end() && found->value().is_object()) {
            arguments = found->value().get_object();
        }
        arguments["cni"] = json::Object{{"ips", std::move(ips)}};
        input["args"] = std::move(arguments);
    }
    if (!previous.is_null()) {
        input["prevResult"] = previous;
    }
    return input;
}

CniCall
call_of(const std::string& command, const CniAttachment& attachment, const std::string& netns) {
    return {
        .command = command,
        .container_id = attachment.id,
        .netns = netns,
        .interface_name = attachment.interface_name,
        .arguments = attachment.arguments};
}

Result<json::Value> result_of(const CniPluginConfiguration& plugin, json::Value answer) {
    if (!answer.is_object()) {
        return internal_error("CNI plugin " + plugin.type + " (ADD): its answer is no result");
    }
    return answer;
}

Result<std::vector<std::string>> versions_of(
    const CniPlugins& plugins,
    const std::string& type,
    const std::string& version,
    const CniPatience& patience) {
    const json::Value answer = TRY(call_cni_plugin(
        plugins,
        type,
        {.command = "VERSION"},
        json::Value(json::Object{{"cniVersion", version}}),
        patience));
    std::vector<std::string> versions;
    const json::Value* list = json::find(answer, "supportedVersions");
    if (list == nullptr || !list->is_array()) {
        return internal_error(
            "CNI plugin " + type + " (VERSION): its answer has no supportedVersions");
    }
    for (const json::Value& entry : list->get_array()) {
        if (entry.is_string()) {
            versions.emplace_back(entry.get_string());
        }
    }
    return versions;
}

// The previous results of the specification's version, for DEL and CHECK.
json::Value previous_of(const Chain& chain, const CniAttachment& attachment) {
    return cni_version_at_least(chain.version, "0.4.0") ? attachment.result : json::Value();
}

} // namespace

Result<std::string> negotiate_cni_version(
    const CniPlugins& plugins, const CniConfiguration& configuration, const CniPatience& patience) {
    std::vector<std::vector<std::string>> lists{configuration.versions};
    for (const CniPluginConfiguration& plugin : configuration.plugins) {
        TRY(plugins.find(plugin.type));
        if (configuration.versions.size() > 1) {
            lists.push_back(
                TRY(versions_of(plugins, plugin.type, configuration.versions.back(), patience)));
        }
    }
    std::string version = highest_common_cni_version(lists);
    if (version.empty()) {
        return invalid_argument(
            "CNI network \"" + configuration.name +
            "\": its plugins have none of its versions in common");
    }
    return version;
}

Result<void> cni_status(
    const CniPlugins& plugins,
    const CniConfiguration& configuration,
    const std::string& version,
    const CniPatience& patience) {
    if (!cni_version_at_least(version, "1.1.0")) {
        return ok();
    }
    for (const CniPluginConfiguration& plugin : configuration.plugins) {
        TRY(call_cni_plugin(
            plugins,
            plugin.type,
            {.command = "STATUS"},
            derive(configuration, plugin, version),
            patience));
    }
    return ok();
}

Result<json::Value> cni_add(
    const CniPlugins& plugins,
    const CniAttachment& attachment,
    const std::string& netns,
    const CniPatience& patience) {
    const Chain chain = TRY(Chain::of(attachment));
    const CniCall call = call_of("ADD", attachment, netns);
    json::Value previous;
    for (const CniPluginConfiguration& plugin : chain.configuration.plugins) {
        const json::Value input = derive_for(chain, plugin, attachment, previous);
        json::Value answer = TRY(call_cni_plugin(plugins, plugin.type, call, input, patience));
        previous = TRY(result_of(plugin, std::move(answer)));
    }
    return previous;
}

Result<void> cni_delete(
    const CniPlugins& plugins,
    const CniAttachment& attachment,
    const std::string& netns,
    const CniPatience& patience) {
    const Chain chain = TRY(Chain::of(attachment));
    const CniCall call = call_of("DEL", attachment, netns);
    Result<void> first = ok();
    const std::vector<CniPluginConfiguration>& all = chain.configuration.plugins;
    for (auto plugin = all.rbegin(); plugin != all.rend(); ++plugin) {
        const json::Value input =
            derive_for(chain, *plugin, attachment, previous_of(chain, attachment));
        auto done = call_cni_plugin(plugins, plugin->type, call, input, patience);
        if (!done.ok() && first.ok()) {
            first = std::move(done).error();
        }
    }
    return first;
}

Result<void> cni_check(
    const CniPlugins& plugins,
    const CniAttachment& attachment,
    const std::string& netns,
    const CniPatience& patience) {
    const Chain chain = TRY(Chain::of(attachment));
    if (!cni_version_at_least(chain.version, "0.4.0") || chain.configuration.disable_check ||
        attachment.result.is_null()) {
        return ok();
    }
    for (const CniPluginConfiguration& plugin : chain.configuration.plugins) {
        TRY(call_cni_plugin(
            plugins,
            plugin.type,
            call_of("CHECK", attachment, netns),
            derive_for(chain, plugin, attachment, attachment.result),
            patience));
    }
    return ok();
}

Result<void> cni_change(
    const CniPlugins& plugins,
    CniAttachment& attachment,
    std::string_view capability,
    const json::Value& value,
    const std::string& netns,
    const CniPatience& patience) {
    const Chain chain = TRY(Chain::of(attachment));
    CniAttachment changed = attachment;
    changed.capability_values[capability] = value;
    for (const CniPluginConfiguration& plugin : chain.configuration.plugins) {
        if (!plugin.has_capability(capability)) {
            continue;
        }
        TRY(call_cni_plugin(
            plugins,
            plugin.type,
            call_of("DEL", attachment, netns),
            derive_for(chain, plugin, attachment, previous_of(chain, attachment)),
            patience));
        TRY(call_cni_plugin(
            plugins,
            plugin.type,
            call_of("ADD", changed, netns),
            derive_for(chain, plugin, changed, attachment.result),
            patience));
    }
    attachment = std::move(changed);
    return ok();
}

Result<void> cni_collect(
    const CniPlugins& plugins,
    const CniConfiguration& configuration,
    const std::string& version,
    const std::vector<std::pair<std::string, std::string>>& valid,
    const CniPatience& patience) {
    if (!cni_version_at_least(version, "1.1.0") || configuration.disable_gc) {
        return ok();
    }
    json::Array attachments;
    for (const auto& [id, interface] : valid) {
        attachments.emplace_back(json::Object{{"containerID", id}, {"ifname", interface}});
    }
    Result<void> first = ok();
    for (const CniPluginConfiguration& plugin : configuration.plugins) {
        json::Object input = derive(configuration, plugin, version);
        input["cni.dev/valid-attachments"] = attachments;
        input["cni.dev/attachments"] = attachments; // a misprint of the specification, still read
        auto done =
            call_cni_plugin(plugins, plugin.type, {.command = "GC"}, json::Value(input), patience);
        if (!done.ok() && first.ok()) {
            first = std::move(done).error();
        }
    }
    return first;
}

} // namespace berth::network
