// SPDX-License-Identifier: Apache-2.0
#include "cli/document_stream.h"
#include "cli/listing.h"
#include "cli/table.h"
#include "cli/template.h"

#include <gtest/gtest.h>

namespace berth::cli {
namespace {

std::string render(std::string_view text, std::string_view data) {
    Result<Template> parsed = Template::parse(text);
    if (!parsed.ok()) {
        return "error: " + parsed.error().message();
    }
    Result<std::string> rendered = parsed->render(json::parse(data).value());
    return rendered.ok() ? *rendered : "error: " + rendered.error().message();
}

TEST(Template, PrintsFieldsAndJson) {
    EXPECT_EQ(
        render("{{.State.Status}} {{json .List}}", R"({"State":{"Status":"up"},"List":[1,2]})"),
        "up [1,2]");
    EXPECT_EQ(render("{{.}}", R"({"b":[1,2],"a":true})"), "map[a:true b:[1 2]]");
}

TEST(Template, RangesOverListsAndMaps) {
    EXPECT_EQ(render("{{range .A}}<{{.}}>{{else}}none{{end}}", R"({"A":["x","y"]})"), "<x><y>");
    EXPECT_EQ(render("{{range .A}}{{.}}{{else}}none{{end}}", R"({"A":[]})"), "none");
    EXPECT_EQ(
        render(
            "{{range $k, $v := .M}}{{$k}}={{$v.IP}};{{end}}",
            R"({"M":{"b":{"IP":2},"a":{"IP":1}}})"),
        "a=1;b=2;");
}

TEST(Template, KnowsConditionsIndexAndFunctions) {
    EXPECT_EQ(render("{{if .A}}yes{{else}}no{{end}}", R"({"A":0})"), "no");
    EXPECT_EQ(
        render(R"({{index .M "k"}} {{(index .L 1).N}})", R"({"M":{"k":"v"},"L":[0,{"N":7}]})"),
        "v 7");
    EXPECT_EQ(
        render(R"({{join .L ","}} {{.S | upper}} {{len .L}})", R"({"L":["a","b"],"S":"s"})"),
        "a,b S 2");
}

TEST(Template, SaysWhatIsWrong) {
    EXPECT_NE(render("{{.A", "{}").find("unclosed action"), std::string::npos);
    EXPECT_NE(render("{{if .A}}", R"({"A":1})").find("unexpected EOF"), std::string::npos);
    EXPECT_NE(render("{{frob .A}}", R"({"A":1})").find("\"frob\" not defined"), std::string::npos);
    EXPECT_NE(render("{{.Missing}}", "{}").find("no entry for key \"Missing\""), std::string::npos);
}

TEST(Listing, JoinsPortRanges) {
    json::Value summary = json::parse(
                              R"({"Ports":[{"PrivatePort":443,"Type":"tcp"},
                     {"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
                     {"IP":"0.0.0.0","PrivatePort":81,"PublicPort":8081,"Type":"tcp"},
                     {"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]})")
                              .value();
    EXPECT_EQ(
        published_ports(summary),
        "443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 0.0.0.0:8081->81/tcp");
}

TEST(Listing, JoinsPortsThatAreTheSameOnBothSides) {
    const json::Value summary = json::parse(
                                    R"({"Ports":[{"PrivatePort":53,"Type":"udp"},
        {"IP":"0.0.0.0","PrivatePort":81,"PublicPort":81,"Type":"tcp"},
        {"IP":"0.0.0.0","PrivatePort":80,"PublicPort":80,"Type":"tcp"},
        {"PrivatePort":54,"Type":"udp"}, {"PrivatePort":57,"Type":"udp"}]})")
                                    .value();
    EXPECT_EQ(published_ports(summary), "53-54/udp, 57/udp, 0.0.0.0:80-81->80-81/tcp");
}

TEST(Listing, WordsSizes) {
    EXPECT_EQ(human_size(0), "0B");
    EXPECT_EQ(human_size(1234), "1.23kB");
    EXPECT_EQ(human_size(77'800'000), "77.8MB");
}

TEST(Table, PadsAllColumnsButTheLastToTenAtLeast) {
    Table table({"NAME", "STATUS"});
    table.row({"a-long-name", "Up"});
    EXPECT_EQ(table.text(), "NAME          STATUS\na-long-name   Up\n");
    EXPECT_EQ(Table({"A", "B"}).text(), "A         B\n");
    EXPECT_EQ(ellipsis("abcdef", 4), "abc\u2026");
}

TEST(DocumentStream, SplitsDocumentsWhereverTheyAreCut) {
    StringSource source(R"({"a":"}"}{"b":{"c":1}})"
                        "\n[1]");
    DocumentStream documents(source);
    EXPECT_EQ(json::serialize(**documents.next()), R"({"a":"}"})");
    EXPECT_EQ(json::serialize(**documents.next()), R"({"b":{"c":1}})");
    EXPECT_EQ(json::serialize(**documents.next()), "[1]");
    EXPECT_FALSE(documents.next()->has_value());
    StringSource cut(R"({"a":)");
    DocumentStream broken(cut);
    EXPECT_EQ(broken.next().error().kind(), ErrorKind::DataLoss);
}

} // namespace
} // namespace berth::cli
