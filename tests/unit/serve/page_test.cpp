// page_test.cpp: the files that the program has in it, and how they are answered.
#include "longgen/serve/page/page.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "longgen/base/files.h"
#include "tests/unit/error_text.h"
#include "tests/unit/serve/fake_exchange.h"

namespace longgen {
namespace {

FakeExchange ask(const PageFile& file, const std::string& if_none_match = "") {
  FakeExchange exchange;
  http::HttpRequest request;
  request.if_none_match = if_none_match;
  answer_page_file(file, request, exchange);
  return exchange;
}

std::string header(const FakeExchange& exchange, const std::string& name) {
  for (const auto& [each, value] : exchange.headers_) {
    if (each == name) return value;
  }
  return "";
}

TEST(Page, IsItsFilesAsTheyAre) {
  const fs::path folder = fs::path(LONGGEN_SOURCE_DIR) / "longgen/serve/page/files";
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  for (const PageFile& file : page_files()) {
    const std::string name = file.path == "/" ? "index.html" : file.path.substr(6);
    EXPECT_EQ(names.erase(name), 1u) << file.path;
    EXPECT_EQ(file.text, read_file(folder / name)) << name;
  }
  EXPECT_TRUE(names.empty()) << *names.begin() << " is not in longgen/serve/CMakeLists.txt";
}

TEST(Page, NamesWhatItIsAndAllowsNothingElse) {
  const PageFile& index = *find_page_file("/");
  const FakeExchange answer = ask(index);
  EXPECT_EQ(answer.status_, 200);
  EXPECT_EQ(answer.type_, "text/html; charset=utf-8");
  EXPECT_EQ(answer.body_, index.text);
  const std::string policy = header(answer, "Content-Security-Policy");
  for (const char* part : {"default-src 'none'", "script-src 'self'", "connect-src 'self'",
                           "frame-ancestors 'none'", "require-trusted-types-for 'script'"}) {
    EXPECT_TRUE(contains(policy, part));
  }
  EXPECT_FALSE(contains(policy, "unsafe"));
  EXPECT_EQ(header(answer, "X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(find_page_file("/page/page.css")->type, "text/css; charset=utf-8");
  EXPECT_EQ(find_page_file("/page/main.js")->type, "text/javascript; charset=utf-8");
  EXPECT_EQ(find_page_file("/page/icon.svg")->type, "image/svg+xml");
}

TEST(Page, HasNoPathButThoseOfItsFiles) {
  for (const char* path :
       {"", "//", "/page", "/page/", "/index.html", "/page/index.html", "/page/../page/main.js",
        "/page//main.js", "/page/MAIN.JS", "/page/main.js/", "/etc/passwd", "page.css"}) {
    EXPECT_EQ(find_page_file(path), nullptr) << path;
  }
}

TEST(Page, IsNotSentAgainToWhoHasIt) {
  std::set<std::string> tags;
  for (const PageFile& file : page_files()) tags.insert(file.entity_tag);
  EXPECT_EQ(tags.size(), page_files().size());
  const PageFile& file = *find_page_file("/page/main.js");
  EXPECT_EQ(file.entity_tag.size(), 34u);
  for (const std::string& list : {file.entity_tag, "W/" + file.entity_tag, std::string("*"),
                                  "\"other\", " + file.entity_tag + ", \"last\""}) {
    const FakeExchange answer = ask(file, list);
    EXPECT_EQ(answer.status_, 304) << list;
    EXPECT_EQ(answer.body_, "");
    EXPECT_EQ(header(answer, "ETag"), file.entity_tag);
  }
  EXPECT_EQ(ask(file, "\"other\"").status_, 200);
  EXPECT_EQ(ask(file, find_page_file("/")->entity_tag).status_, 200);
}

/// All that it names stands in the program, or it would ask for what is not there.
TEST(Page, AsksForNothingFromElsewhere) {
  for (const PageFile& file : page_files()) {
    for (size_t at = file.text.find("//"); at != file.text.npos;
         at = file.text.find("//", at + 2)) {
      const bool is_address = at > 0 && file.text[at - 1] == ':';
      const bool is_namespace = file.text.substr(at).starts_with("//www.w3.org/2000/svg");
      EXPECT_TRUE(!is_address || is_namespace) << file.path << ": " << file.text.substr(at, 40);
    }
    for (const char* sink : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write",
                             "eval(", "new Function", "style=\"", "onclick=\""}) {
      EXPECT_FALSE(contains(std::string(file.text), sink)) << file.path << ": " << sink;
    }
  }
}

}  // namespace
}  // namespace longgen
