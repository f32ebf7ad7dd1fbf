// SPDX-License-Identifier: Apache-2.0
// Parser and evaluator of the template subset. Values are JSON; an absent field is null.
#include "cli/template.h"

#include "base/strings.h"

#include <functional>
#include <map>

namespace berth::cli {

struct Template::Node {
    enum class Kind { Text, Print, If, Range, With };
    Kind kind = Kind::Text;
    std::string text;               // Text
    std::vector<std::string> words; // the action's words, pipes included
    std::vector<std::unique_ptr<Node>> body;
    std::vector<std::unique_ptr<Node>> otherwise;
};

namespace {

using Node = Template::Node;
using Nodes = std::vector<std::unique_ptr<Node>>;

constexpr int depth_limit = 64;

Error parse_error(const std::string& what) {
    return invalid_argument("template parsing error: template: :1: " + what);
}

// Words of an action: quoted strings keep their quote as the first character, parentheses and pipes
// are words.
Result<std::vector<std::string>> scan(std::string_view text) {
    std::vector<std::string> found;
    std::size_t i = 0;
    while (i < text.size()) {
        char c = text[i];
        if (c == ' ' || c == '\t' || c == '\n') {
            ++i;
        } else if (c == ')' && i + 1 < text.size() && text[i + 1] == '.') {
            // "(index .L 1).Name": the parenthesis and the field of its value are one word.
            std::size_t end = std::min(text.find_first_of(" \t\n()|,", i + 1), text.size());
            found.emplace_back(text.substr(i, end - i));
            i = end;
        } else if (c == '(' || c == ')' || c == '|' || c == ',') {
            found.emplace_back(1, c);
            ++i;
        } else if (c == '"' || c == '`') {
            std::string word = "\"";
            for (++i; i < text.size() && text[i] != c; ++i) {
                if (text[i] == '\\' && c == '"' && i + 1 < text.size()) {
                    ++i;
                    word += text[i] == 'n' ? '\n' : text[i] == 't' ? '\t' : text[i];
                } else {
                    word += text[i];
                }
            }
            if (i++ >= text.size()) {
                return parse_error("unterminated quoted string");
            }
            found.push_back(word);
        } else {
            std::size_t start = i;
            while (i < text.size() &&
                   std::string_view(" \t\n()|,\"`").find(text[i]) == std::string_view::npos) {
                ++i;
            }
            found.emplace_back(text.substr(start, i - start));
        }
    }
    return found;
}

class Parser {
  public:
    explicit Parser(std::string_view text)
        : text_(text) {}

    Result<Nodes> parse() {
        Nodes nodes;
        std::string end = TRY(parse_list(nodes, 0));
        if (!end.empty()) {
            return parse_error("unexpected {{" + end + "}}");
        }
        return nodes;
    }

  private:
    // Fills nodes up to {{end}}, {{else}} or the text's end; returns which.
    Result<std::string> parse_list(Nodes& nodes, int depth) {
        if (depth > depth_limit) {
            return parse_error("blocks nested too deeply");
        }
        while (!text_.empty()) {
            std::size_t open = text_.find("{{");
            add_text(nodes, text_.substr(0, open));
            if (open == std::string_view::npos) {
                text_ = {};
                break;
            }
            text_.remove_prefix(open + 2);
            std::size_t close = text_.find("}}");
            if (close == std::string_view::npos) {
                return parse_error("unclosed action");
            }
            std::string_view action = text_.substr(0, close);
            text_.remove_prefix(close + 2);
            trim_markers(nodes, action);
            std::vector<std::string> found = TRY(scan(action));
            if (found.empty()) {
                return parse_error("missing value for command");
            }
            if (found[0] == "end" || found[0] == "else") {
                return found[0];
            }
            nodes.push_back(TRY(parse_action(std::move(found), depth)));
        }
        return std::string();
    }

    Result<std::unique_ptr<Node>> parse_action(std::vector<std::string> found, int depth) {
        auto node = std::make_unique<Node>();
        node->kind = found[0] == "if"      ? Node::Kind::If
                     : found[0] == "range" ? Node::Kind::Range
                     : found[0] == "with"  ? Node::Kind::With
                                           : Node::Kind::Print;
        if (node->kind != Node::Kind::Print) {
            std::string block = found[0];
            found.erase(found.begin());
            std::string end = TRY(parse_list(node->body, depth + 1));
            if (end == "else") {
                end = TRY(parse_list(node->otherwise, depth + 1));
            }
            if (end != "end") {
                return parse_error("unexpected EOF in {{" + block + "}}");
            }
        }
        node->words = std::move(found);
        return node;
    }

    static void add_text(Nodes& nodes, std::string_view text) {
        if (!text.empty()) {
            auto node = std::make_unique<Node>();
            node->text = text;
            nodes.push_back(std::move(node));
        }
    }

    // {{- and -}} cut the white space beside them.
    void trim_markers(Nodes& nodes, std::string_view& action) {
        if (action.starts_with("- ")) {
            action.remove_prefix(1);
            if (!nodes.empty() && nodes.back()->kind == Node::Kind::Text) {
                std::string& before = nodes.back()->text;
                before.erase(before.find_last_not_of(" \t\r\n") + 1);
            }
        }
        if (action.ends_with(" -")) {
            action.remove_suffix(1);
            text_.remove_prefix(std::min(text_.find_first_not_of(" \t\r\n"), text_.size()));
        }
    }

    std::string_view text_;
};

bool truth(const json::Value& value) {
    switch (value.kind()) {
    case boost::json::kind::null:
        return false;
    case boost::json::kind::bool_:
        return value.get_bool();
    case boost::json::kind::int64:
        return value.get_int64() != 0;
    case boost::json::kind::uint64:
        return value.get_uint64() != 0;
    case boost::json::kind::double_:
        return value.get_double() != 0;
    case boost::json::kind::string:
        return !value.get_string().empty();
    case boost::json::kind::array:
        return !value.get_array().empty();
    case boost::json::kind::object:
        return !value.get_object().empty();
    }
    return false;
}

// Go's %v: maps as map[a:1 b:2], lists as [1 2].
std::string printed(const json::Value& value) {
    if (value.is_null()) {
        return "<no value>";
    }
    if (value.is_string()) {
        return std::string(value.get_string());
    }
    if (value.is_array()) {
        std::string text;
        for (const json::Value& element : value.get_array()) {
            text += (text.empty() ? "" : " ") + printed(element);
        }
        return "[" + text + "]";
    }
    if (value.is_object()) {
        std::map<std::string, std::string> sorted;
        for (const auto& [key, element] : value.get_object()) {
            sorted[std::string(key)] = printed(element);
        }
        std::string text;
        for (const auto& [key, element] : sorted) {
            text += (text.empty() ? "" : " ") + key + ":" + element;
        }
        return "map[" + text + "]";
    }
    return json::serialize(value);
}

class Evaluator {
  public:
    explicit Evaluator(const json::Value& root)
        : root_(root) {}

    Result<void> run(const Nodes& nodes, const json::Value& dot) {
        for (const std::unique_ptr<Node>& node : nodes) {
            TRY(run(*node, dot));
        }
        return ok();
    }

    std::string output;

  private:
    Result<void> run(const Node& node, const json::Value& dot) {
        if (node.kind == Node::Kind::Text) {
            output += node.text;
            return ok();
        }
        std::vector<std::string> words = node.words;
        std::vector<std::string> names = take_variables(words);
        json::Value value = TRY(pipeline(words, dot));
        switch (node.kind) {
        case Node::Kind::Text:
            break;
        case Node::Kind::Print:
            if (names.empty()) {
                output += printed(value);
            } else {
                variables_[names[0]] = value;
            }
            return ok();
        case Node::Kind::If:
            return run(truth(value) ? node.body : node.otherwise, dot);
        case Node::Kind::With:
            return truth(value) ? run(node.body, value) : run(node.otherwise, dot);
        case Node::Kind::Range:
            return run_range(node, names, value, dot);
        }
        return ok();
    }

    Result<void> run_range(
        const Node& node,
        const std::vector<std::string>& names,
        const json::Value& value,
        const json::Value& dot) {
        if (!truth(value)) {
            return run(node.otherwise, dot);
        }
        auto step = [&](json::Value key, const json::Value& element) {
            if (names.size() == 1) {
                variables_[names[0]] = element;
            } else if (names.size() == 2) {
                variables_[names[0]] = std::move(key);
                variables_[names[1]] = element;
            }
            return run(node.body, element);
        };
        if (value.is_array()) {
            std::int64_t index = 0;
            for (const json::Value& element : value.get_array()) {
                TRY(step(json::Value(index++), element));
            }
            return ok();
        }
        if (!value.is_object()) {
            return invalid_argument("template: :1: range can't iterate over " + printed(value));
        }
        std::map<std::string, const json::Value*> sorted;
        for (const auto& [key, element] : value.get_object()) {
            sorted[std::string(key)] = &element;
        }
        for (const auto& [key, element] : sorted) {
            TRY(step(json::Value(key), *element));
        }
        return ok();
    }

    // "$k , $v := …" or "$v := …" in front of a pipeline.
    static std::vector<std::string> take_variables(std::vector<std::string>& words) {
        std::vector<std::string> names;
        for (std::size_t i = 0; i < words.size() && i < 4; ++i) {
            if (words[i] == ":=") {
                words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(i) + 1);
                return names;
            }
            if (words[i] != ",") {
                names.push_back(words[i]);
            }
        }
        return {};
    }

    Result<json::Value> pipeline(const std::vector<std::string>& words, const json::Value& dot) {
        std::vector<json::Value> piped;
        std::size_t at = 0;
        while (true) {
            std::vector<json::Value> arguments;
            std::string function;
            int operands = 0;
            for (; at < words.size() && words[at] != "|" && words[at][0] != ')'; ++at) {
                if (operands++ == 0 && is_function(words[at])) {
                    function = words[at];
                } else if (words[at] == "(") {
                    std::size_t close = TRY(matching(words, at));
                    std::vector<std::string> inner(
                        words.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                        words.begin() + static_cast<std::ptrdiff_t>(close));
                    json::Value value = TRY(pipeline(inner, dot));
                    std::string_view path = std::string_view(words[close]).substr(1);
                    arguments.push_back(
                        path.empty() ? std::move(value) : TRY(field(value, path.substr(1))));
                    at = close;
                } else {
                    arguments.push_back(TRY(operand(words[at], dot)));
                }
            }
            for (json::Value& value : piped) {
                arguments.push_back(std::move(value));
            }
            json::Value value = TRY(call(function, arguments));
            if (at >= words.size()) {
                return value;
            }
            piped = {std::move(value)};
            ++at;
        }
    }

    static Result<std::size_t> matching(const std::vector<std::string>& words, std::size_t open) {
        int depth = 0;
        for (std::size_t i = open; i < words.size(); ++i) {
            depth += words[i][0] == '(' ? 1 : words[i][0] == ')' ? -1 : 0;
            if (depth == 0) {
                return i;
            }
        }
        return parse_error("unclosed left paren");
    }

    static bool is_function(const std::string& word) {
        static constexpr std::string_view names[] = {
            "json",
            "index",
            "len",
            "join",
            "upper",
            "lower",
            "println",
            "print",
            "eq",
            "ne",
            "not",
            "and",
            "or",
            "split"};
        for (std::string_view name : names) {
            if (word == name) {
                return true;
            }
        }
        return false;
    }

    Result<json::Value> operand(const std::string& word, const json::Value& dot) {
        if (word[0] == '"') {
            return json::Value(word.substr(1));
        }
        if (word[0] == '.') {
            return field(dot, std::string_view(word).substr(1));
        }
        if (word[0] == '$') {
            std::optional<Cut> parts = cut(word, ".");
            std::string name(parts ? parts->before : std::string_view(word));
            const json::Value& base = name == "$" ? root_ : variables_[name];
            return field(base, parts ? parts->after : std::string_view());
        }
        if (word == "true" || word == "false") {
            return json::Value(word == "true");
        }
        if (Result<std::int64_t> number = parse_number<std::int64_t>(word); number.ok()) {
            return json::Value(*number);
        }
        return parse_error("function \"" + word + "\" not defined");
    }

    static Result<json::Value> field(const json::Value& base, std::string_view path) {
        const json::Value* value = &base;
        for (std::string_view name :
             path.empty() ? std::vector<std::string_view>() : split(path, '.')) {
            if (!value->is_object()) {
                return json::Value(nullptr);
            }
            const json::Value* next = value->get_object().if_contains(name);
            if (!next) {
                return invalid_argument(
                    "template parsing error: template: :1: map has no entry for key \"" +
                    std::string(name) + "\"");
            }
            value = next;
        }
        return *value;
    }

    static Result<json::Value> index(const std::vector<json::Value>& arguments) {
        json::Value value = arguments.empty() ? json::Value(nullptr) : arguments[0];
        for (std::size_t i = 1; i < arguments.size(); ++i) {
            json::Value next(nullptr);
            if (value.is_object() && arguments[i].is_string()) {
                if (const json::Value* found =
                        value.get_object().if_contains(arguments[i].get_string())) {
                    next = *found;
                }
            } else if (value.is_array() && arguments[i].is_int64()) {
                std::int64_t at = arguments[i].get_int64();
                if (at < 0 || static_cast<std::size_t>(at) >= value.get_array().size()) {
                    return invalid_argument(
                        "template: :1: error calling index: index out of range: " +
                        std::to_string(at));
                }
                next = value.get_array()[static_cast<std::size_t>(at)];
            }
            value = std::move(next);
        }
        return value;
    }

    static Result<json::Value>
    call(const std::string& function, const std::vector<json::Value>& arguments) {
        if (arguments.empty() && function != "println") {
            return parse_error("missing value for command");
        }
        if (function.empty()) {
            return arguments[0];
        }
        if (function == "json") {
            return json::Value(json::serialize(arguments[0]));
        }
        if (function == "index") {
            return index(arguments);
        }
        if (function == "eq" || function == "ne") {
            bool equal = arguments.size() > 1 && arguments[0] == arguments[1];
            return json::Value(equal == (function == "eq"));
        }
        if (function == "not") {
            return json::Value(!truth(arguments[0]));
        }
        if (function == "and" || function == "or") {
            for (const json::Value& argument : arguments) {
                if (truth(argument) == (function == "or")) {
                    return argument;
                }
            }
            return arguments.back();
        }
        return call_text(function, arguments);
    }

    static Result<json::Value>
    call_text(const std::string& function, const std::vector<json::Value>& arguments) {
        if (function == "len") {
            const json::Value& value = arguments[0];
            std::size_t size = value.is_array()    ? value.get_array().size()
                               : value.is_object() ? value.get_object().size()
                               : value.is_string() ? value.get_string().size()
                                                   : 0;
            return json::Value(size);
        }
        if (function == "upper" || function == "lower") {
            std::string text = printed(arguments[0]);
            return json::Value(function == "upper" ? to_upper(text) : to_lower(text));
        }
        std::string text;
        if (function == "join") {
            if (!arguments[0].is_array()) {
                return json::Value("");
            }
            std::vector<std::string> parts;
            for (const json::Value& part : arguments[0].get_array()) {
                parts.push_back(printed(part));
            }
            return json::Value(join(parts, arguments.size() > 1 ? printed(arguments[1]) : ""));
        }
        if (function == "split") {
            json::Array parts;
            std::string separator = arguments.size() > 1 ? printed(arguments[1]) : ",";
            std::string whole = printed(arguments[0]);
            std::string_view rest = whole;
            while (std::optional<Cut> piece = cut(rest, separator)) {
                parts.emplace_back(piece->before);
                rest = piece->after;
            }
            parts.emplace_back(rest);
            return json::Value(std::move(parts));
        }
        for (const json::Value& argument : arguments) {
            text += (text.empty() || function == "print" ? "" : " ") + printed(argument);
        }
        return json::Value(function == "println" ? text + "\n" : text);
    }

    const json::Value& root_;
    std::map<std::string, json::Value> variables_;
};

} // namespace

Template::Template(std::vector<std::unique_ptr<Node>> nodes)
    : nodes_(std::move(nodes)) {}

Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::parse(std::string_view text) {
    return Template(TRY(Parser(text).parse()));
}

Result<std::string> Template::render(const json::Value& data) const {
    Evaluator evaluator(data);
    TRY(evaluator.run(nodes_, data));
    return std::move(evaluator.output);
}

} // namespace berth::cli
