#include "longgen/serve/page/page.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/serve/page/page_texts.h"

namespace longgen {
namespace {

constexpr std::string_view kIndex = "index.html";
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kTypes = {{
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".svg", "image/svg+xml"},
}};

// The page can load and ask nothing that is not of this server, cannot stand in a frame of another
// one, and cannot make HTML or code of a text, by mistake either.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

std::string_view type_of(std::string_view name) {
  const auto type = std::find_if(kTypes.begin(), kTypes.end(),
                                 [&](const auto& each) { return name.ends_with(each.first); });
  LG_DCHECK(type != kTypes.end());
  return type->second;
}

std::string entity_tag(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("\"{:016x}{:016x}\"", hash.high64, hash.low64);
}

std::vector<PageFile> make_page_files() {
  std::vector<PageFile> files;
  for (const auto& [name, text] : page_texts()) {
    const std::string path = name == kIndex ? "/" : "/page/" + std::string(name);
    files.push_back({path, type_of(name), text, entity_tag(text)});
  }
  return files;
}

/// Is the tag in a list such as: "a", W/"b"? No tag of ours has a comma or another one in it.
bool names(std::string_view list, std::string_view tag) {
  return list == "*" || list.find(tag) != std::string_view::npos;
}

}  // namespace

const std::vector<PageFile>& page_files() {
  static const std::vector<PageFile> files = make_page_files();
  return files;
}

const PageFile* find_page_file(std::string_view path) {
  const auto& files = page_files();
  const auto file = std::find_if(files.begin(), files.end(),
                                 [&](const PageFile& each) { return each.path == path; });
  return file == files.end() ? nullptr : &*file;
}

void answer_page_file(const PageFile& file, const http::HttpRequest& request,
                      http::Exchange& exchange) {
  const http::Headers headers = {{"ETag", file.entity_tag},
                                 {"Cache-Control", "no-cache"},  // asks, and gets 304
                                 {"Content-Security-Policy", kPolicy},
                                 {"X-Content-Type-Options", "nosniff"},
                                 {"Referrer-Policy", "no-referrer"},
                                 {"Cross-Origin-Opener-Policy", "same-origin"},
                                 {"Cross-Origin-Resource-Policy", "same-origin"}};
  if (names(request.if_none_match, file.entity_tag)) return exchange.answer(304, "", "", headers);
  exchange.answer(200, std::string(file.type), std::string(file.text), headers);
}

}  // namespace longgen
