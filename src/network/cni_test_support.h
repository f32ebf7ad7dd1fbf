// SPDX-License-Identifier: Apache-2.0
// CNI plugins that tests write as shell scripts, and what they were told.
#pragma once

#include "base/file.h"
#include "network/cni_plugin.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace berth::network {

class CniPluginFolder {
  public:
    CniPluginFolder();

    // A program that runs the script.
    void add(const std::string& type, const std::string& script) const;
    // One that notes each call and answers as plugins do: ADD with the previous result, or one with
    // an address (10.5.0.2) when it is the first; VERSION with these versions.
    void add_well_behaved(
        const std::string& type,
        const std::string& versions = "\"0.4.0\",\"1.0.0\",\"1.1.0\"") const;

    // "TYPE COMMAND", in order.
    std::vector<std::string> calls() const;
    // The standard input of the last such call.
    json::Value input(const std::string& type, const std::string& command) const;
    // Its environment's CNI_ variables, sorted, one a line.
    std::string environment(const std::string& type, const std::string& command) const;
    void forget_calls() const;

    CniPlugins plugins() const { return {.directories = {folder_.path()}}; }

    const std::string& path() const { return folder_.path(); }

    std::string text(const std::string& file) const;

  private:
    TemporaryDirectory folder_;
};

CniPatience patience(std::chrono::milliseconds time = std::chrono::seconds(20));

// Waits until the condition holds; false after some seconds.
bool comes_true(const std::function<bool()>& condition);

} // namespace berth::network
