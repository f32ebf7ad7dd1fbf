// SPDX-License-Identifier: Apache-2.0
// Shell scripts as plugins.
#include "network/cni_test_support.h"

#include "base/strings.h"

#include <gtest/gtest.h>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::network {

CniPluginFolder::CniPluginFolder()
    : folder_(TemporaryDirectory::create("/tmp").value()) {}

void CniPluginFolder::add(const std::string& type, const std::string& script) const {
    const std::string path = folder_.path() + "/" + type;
    const std::string text = "#!/bin/sh\nhome=" + folder_.path() + "\n" + script + "\n";
    EXPECT_TRUE(replace_file(path, text, 0755, Sync::No).ok());
}

void CniPluginFolder::add_well_behaved(const std::string& type, const std::string& versions) const {
    add(type,
        R"(
me=$(basename "$0")
cat > "$home/$me.$CNI_COMMAND.input"
env | grep ^CNI_ | sort > "$home/$me.$CNI_COMMAND.environment"
echo "$me $CNI_COMMAND" >> "$home/calls"
case "$CNI_COMMAND" in
VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":[)" +
            versions + R"(]}' ;;
ADD)
    if grep -q prevResult "$home/$me.ADD.input"; then
        echo '{"cniVersion":"1.0.0","from":"'$me'","ips":[{"address":"10.5.0.2/24"}],"seen":"previous"}'
    else
        echo '{"cniVersion":"1.0.0","from":"'$me'","ips":[{"address":"10.5.0.2/24"}]}'
    fi ;;
esac
)");
}

std::string CniPluginFolder::text(const std::string& file) const {
    return read_file(folder_.path() + "/" + file).value_or("");
}

std::vector<std::string> CniPluginFolder::calls() const {
    const std::string all = text("calls");
    std::vector<std::string> calls;
    for (const std::string_view line : split(all, '\n')) {
        if (!line.empty()) {
            calls.emplace_back(line);
        }
    }
    return calls;
}

json::Value CniPluginFolder::input(const std::string& type, const std::string& command) const {
    const auto value = json::parse(text(type + "." + command + ".input"));
    EXPECT_TRUE(value.ok()) << type << " was not called for " << command;
    return value.ok() ? *value : json::Value();
}

std::string
CniPluginFolder::environment(const std::string& type, const std::string& command) const {
    return text(type + "." + command + ".environment");
}

void CniPluginFolder::forget_calls() const {
    ::unlink((folder_.path() + "/calls").c_str());
}

CniPatience patience(std::chrono::milliseconds time) {
    return {.until = std::chrono::steady_clock::now() + time};
}

bool comes_true(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < end) {
        if (condition()) {
            return true;
        }
        ::poll(nullptr, 0, 10);
    }
    return false;
}

} // namespace berth::network
