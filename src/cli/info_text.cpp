// SPDX-License-Identifier: Apache-2.0
// One section of the text a function.
#include "cli/info_text.h"

#include "base/strings.h"
#include "cli/listing.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace berth::cli {

namespace {

std::string line(const std::string& label, const std::string& value) {
    return " " + label + ": " + value + "\n";
}

std::string block(const std::string& title, const std::vector<std::string>& lines) {
    return lines.empty() ? "" : " " + title + ":\n  " + join(lines, "\n  ") + "\n";
}

// "name=seccomp,profile=builtin" as "seccomp" and "Profile: builtin" below it.
std::string security_text(const json::Value& info) {
    std::vector<std::string> lines;
    for (const std::string& option : texts_of(json::find(info, "SecurityOptions"))) {
        for (const std::string_view field : split(option, ',')) {
            const auto parts = cut(field, "=");
            if (!parts || parts->before.empty()) {
                continue;
            }
            std::string name(parts->before);
            name[0] = to_upper(name.substr(0, 1))[0];
            lines.push_back(
                name == "Name" ? std::string(parts->after)
                               : " " + name + ": " + std::string(parts->after));
        }
    }
    return block("Security Options", lines);
}

std::string counts_text(const json::Value& info) {
    const auto number = [&](std::string_view name) {
        return std::to_string(number_of(info, name));
    };
    std::string text =
        " Containers: " + number("Containers") + "\n  Running: " + number("ContainersRunning") +
        "\n  Paused: " + number("ContainersPaused") +
        "\n  Stopped: " + number("ContainersStopped") + "\n Images: " + number("Images") + "\n";
    text += line("Server Version", text_of(info, "ServerVersion"));
    text += line("Storage Driver", text_of(info, "Driver"));
    for (const json::Value& pair : list_of(info, "DriverStatus")) {
        if (const auto words = texts_of(&pair); words.size() == 2) {
            text += " " + line(words[0], words[1]);
        }
    }
    return text;
}

// "Volume: local", "Network: bridge host null", …
std::string plugins_text(const json::Value& info) {
    std::vector<std::string> lines;
    const json::Value* plugins = json::find(info, "Plugins");
    for (const char* kind : {"Volume", "Network", "Authorization", "Log"}) {
        const auto names = texts_of(plugins != nullptr ? json::find(*plugins, kind) : nullptr);
        if (!names.empty()) {
            lines.push_back(std::string(kind) + ": " + join(names, " "));
        }
    }
    return block("Plugins", lines);
}

std::string devices_text(const json::Value& info) {
    std::vector<std::string> devices;
    for (const json::Value& device : list_of(info, "DiscoveredDevices")) {
        devices.push_back(text_of(device, "Source") + ": " + text_of(device, "ID"));
    }
    return block("CDI spec directories", texts_of(json::find(info, "CDISpecDirs"))) +
           block("Discovered Devices", devices);
}

std::string parts_text(const json::Value& info) {
    const json::Value* swarm = json::find(info, "Swarm");
    std::string text = devices_text(info);
    text += line("Swarm", swarm != nullptr ? text_of(*swarm, "LocalNodeState") : "inactive");
    text += line("Runtimes", join(texts_of(json::find(info, "Runtimes")), " "));
    text += line("Default Runtime", text_of(info, "DefaultRuntime"));
    text += line("Init Binary", text_of(info, "InitBinary"));
    for (const auto& [label, name] :
         {std::pair<const char*, const char*>{"containerd version", "ContainerdCommit"},
          {"runc version", "RuncCommit"},
          {"init version", "InitCommit"}}) {
        const json::Value* commit = json::find(info, name);
        text += line(label, commit != nullptr ? text_of(*commit, "ID") : "");
    }
    return text;
}

std::string machine_text(const json::Value& info) {
    std::string text;
    for (const auto& [label, name] :
         {std::pair<const char*, const char*>{"Kernel Version", "KernelVersion"},
          {"Operating System", "OperatingSystem"},
          {"OSType", "OSType"},
          {"Architecture", "Architecture"}}) {
        text += line(label, text_of(info, name));
    }
    text += line("CPUs", std::to_string(number_of(info, "NCPU")));
    char memory[32];
    std::snprintf(
        memory,
        sizeof memory,
        "%.4gGiB",
        static_cast<double>(number_of(info, "MemTotal")) / (1U << 30));
    text += line("Total Memory", memory);
    text += line("Name", text_of(info, "Name"));
    text += line("ID", text_of(info, "ID"));
    return text + line("Docker Root Dir", text_of(info, "DockerRootDir"));
}

std::string settings_text(const json::Value& info) {
    const auto flag = [&](const char* name) { return flag_of(info, name) ? "true" : "false"; };
    std::string text = line("Debug Mode", flag("Debug"));
    for (const auto& [label, name] :
         {std::pair<const char*, const char*>{"HTTP Proxy", "HttpProxy"},
          {"HTTPS Proxy", "HttpsProxy"},
          {"No Proxy", "NoProxy"}}) {
        const std::string value = text_of(info, name);
        text += value.empty() ? "" : line(label, value);
    }
    text += block("Labels", texts_of(json::find(info, "Labels")));
    text += line("Experimental", flag("ExperimentalBuild"));
    if (const json::Value* registries = json::find(info, "RegistryConfig")) {
        text += block(
            "Insecure Registries", texts_of(json::find(*registries, "InsecureRegistryCIDRs")));
        text += block("Registry Mirrors", texts_of(json::find(*registries, "Mirrors")));
    }
    return text + line("Live Restore Enabled", flag("LiveRestoreEnabled"));
}

} // namespace

std::vector<std::string> texts_of(const json::Value* value) {
    std::vector<std::string> texts;
    if (value != nullptr && value->is_array()) {
        for (const json::Value& text : value->get_array()) {
            if (text.is_string()) {
                texts.emplace_back(text.get_string());
            }
        }
    } else if (value != nullptr && value->is_object()) {
        for (const auto& [name, ignored] : value->get_object()) {
            texts.emplace_back(name);
        }
        std::sort(texts.begin(), texts.end());
    }
    return texts;
}

std::string info_text(const json::Value& info) {
    std::string text = "Client:\n Version:    " BERTH_VERSION
                       "\n Context:    default\n Debug Mode: false\n\nServer:\n";
    text += counts_text(info);
    text += line("Logging Driver", text_of(info, "LoggingDriver"));
    text += line("Cgroup Driver", text_of(info, "CgroupDriver"));
    text += line("Cgroup Version", text_of(info, "CgroupVersion"));
    text += plugins_text(info) + parts_text(info) + security_text(info);
    return text + machine_text(info) + settings_text(info) + "\n";
}

} // namespace berth::cli
