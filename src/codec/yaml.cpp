// SPDX-License-Identifier: Apache-2.0
// libyaml loads the document with its aliases as one graph of nodes; a node that many aliases name
// is counted each time it is copied, so that a few lines cannot become a machine's memory.
#include "codec/yaml.h"

#include "base/strings.h"

#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>

#include <yaml.h>

namespace berth::yaml {

namespace {

class Document {
  public:
    explicit Document(std::string_view text) {
        yaml_parser_initialize(&parser_);
        yaml_parser_set_input_string(
            &parser_,
            // SAFETY: libyaml's bytes are unsigned; they are read only.
            reinterpret_cast<const unsigned char*>(text.data()),
            text.size());
        is_loaded_ = yaml_parser_load(&parser_, &document_) != 0;
    }

    Document(const Document&) = delete;
    Document& operator=(const Document&) = delete;

    ~Document() {
        if (is_loaded_) {
            yaml_document_delete(&document_);
        }
        yaml_parser_delete(&parser_);
    }

    bool is_loaded() const { return is_loaded_; }

    Error error() const {
        return invalid_argument(
            "line " + std::to_string(parser_.problem_mark.line + 1) + ": " +
            (parser_.problem == nullptr ? "no YAML" : parser_.problem));
    }

    yaml_node_t* root() { return yaml_document_get_root_node(&document_); }

    yaml_node_t* node(int index) { return yaml_document_get_node(&document_, index); }

  private:
    yaml_parser_t parser_{};
    yaml_document_t document_{};
    bool is_loaded_ = false;
};

std::string text_of(const yaml_node_t& node) {
    // SAFETY: the same bytes as characters.
    return std::string(
        reinterpret_cast<const char*>(node.data.scalar.value), node.data.scalar.length);
}

json::Value number_or_text(const std::string& text) {
    if (const auto whole = parse_number<std::int64_t>(text); whole.ok()) {
        return json::Value(*whole);
    }
    if (const auto large = parse_number<std::uint64_t>(text); large.ok()) {
        return json::Value(*large);
    }
    if (text.starts_with("0x")) {
        if (const auto whole = parse_number<std::uint64_t>(text.substr(2), 16); whole.ok()) {
            return json::Value(*whole);
        }
    }
    if (text.starts_with("0o")) {
        if (const auto whole = parse_number<std::uint64_t>(text.substr(2), 8); whole.ok()) {
            return json::Value(*whole);
        }
    }
    const bool may_be_number = text.find_first_not_of("+-.0123456789eE") == std::string::npos &&
                               text.find_first_of("0123456789") != std::string::npos;
    if (may_be_number) {
        char* end = nullptr;
        const double number = std::strtod(text.c_str(), &end);
        if (*end == '\0' && std::isfinite(number)) {
            return json::Value(number);
        }
    }
    return json::Value(text);
}

json::Value scalar_of(const yaml_node_t& node) {
    const std::string text = text_of(node);
    if (node.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return json::Value(text);
    }
    if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
        return json::Value(nullptr);
    }
    if (text == "true" || text == "True" || text == "TRUE") {
        return json::Value(true);
    }
    if (text == "false" || text == "False" || text == "FALSE") {
        return json::Value(false);
    }
    return number_or_text(text);
}

class Converter {
  public:
    Converter(Document& document, const Limits& limits)
        : document_(document)
        , limits_(limits) {}

    Result<json::Value> convert(const yaml_node_t& node, std::size_t depth) {
        if (depth > limits_.depth || ++nodes_ > limits_.nodes) {
            return Error(
                ErrorKind::ResourceExhausted,
                "YAML nested more than " + std::to_string(limits_.depth) +
                    " deep or of more than " + std::to_string(limits_.nodes) + " nodes");
        }
        if (node.type == YAML_SEQUENCE_NODE) {
            json::Array array;
            const auto& items = node.data.sequence.items;
            for (const yaml_node_item_t* item = items.start; item < items.top; ++item) {
                array.push_back(TRY(convert(*document_.node(*item), depth + 1)));
            }
            return json::Value(std::move(array));
        }
        if (node.type == YAML_MAPPING_NODE) {
            json::Object object;
            const auto& pairs = node.data.mapping.pairs;
            for (const yaml_node_pair_t* pair = pairs.start; pair < pairs.top; ++pair) {
                const yaml_node_t* key = document_.node(pair->key);
                if (key->type != YAML_SCALAR_NODE) {
                    return invalid_argument(
                        "line " + std::to_string(key->start_mark.line + 1) + ": a key is no text");
                }
                object[text_of(*key)] = TRY(convert(*document_.node(pair->value), depth + 1));
            }
            return json::Value(std::move(object));
        }
        return scalar_of(node);
    }

  private:
    Document& document_;
    const Limits& limits_;
    std::size_t nodes_ = 0;
};

} // namespace

Result<json::Value> parse(std::string_view text, Limits limits) {
    if (text.size() > limits.bytes) {
        return Error(
            ErrorKind::ResourceExhausted,
            "YAML of more than " + std::to_string(limits.bytes) + " bytes");
    }
    Document document(text);
    if (!document.is_loaded()) {
        return document.error();
    }
    const yaml_node_t* root = document.root();
    return root == nullptr ? Result<json::Value>(json::Value(nullptr))
                           : Converter(document, limits).convert(*root, 0);
}

} // namespace berth::yaml
