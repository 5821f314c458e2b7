// serve/page/page.h: the page that a browser shows of a server, out of the program itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "longgen/serve/http/exchange.h"

namespace longgen {

struct PageFile {
  std::string path;  ///< "/", or "/page/NAME"
  std::string_view type, text;
  std::string entity_tag;  ///< of the text, as ETag has it
};

/// All files of the page. What is not among them is not there: no path is looked up anywhere else.
const std::vector<PageFile>& page_files();
/// Null where the page has no such path.
const PageFile* find_page_file(std::string_view path);

/// Answers GET and HEAD: with the file, or with 304 where the client has it already. Its headers
/// allow the page nothing but its own files and this server, and no text to become code.
void answer_page_file(const PageFile& file, const http::HttpRequest& request,
                      http::Exchange& exchange);

}  // namespace longgen
