// SPDX-License-Identifier: Apache-2.0
// The part of Go's text/template that people use with --format: {{.A.B}}, {{json .}}, {{index .M
// "key"}},
// {{range}}, {{if}} {{else}} {{end}}, {{with}}, {{len}}, {{join}}, {{upper}}, {{lower}},
// {{println}}, {{eq}}, {{ne}},
// {{not}}, pipes, $ and variables of range. Anything else is an error that names it.
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

class Template {
  public:
    // "template parsing error: …" in docker's words when the text is no template.
    static Result<Template> parse(std::string_view text);

    Template(Template&&) noexcept;
    Template& operator=(Template&&) noexcept;
    ~Template();

    // A field that is absent prints "<no value>" as Go does for maps.
    Result<std::string> render(const json::Value& data) const;

    struct Node;

  private:
    explicit Template(std::vector<std::unique_ptr<Node>> nodes);

    std::vector<std::unique_ptr<Node>> nodes_;
};

} // namespace berth::cli
