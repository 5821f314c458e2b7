// serve/page/page_texts.h: the files of the page, as they were when the program was built.
#pragma once

#include <span>
#include <string_view>

namespace longgen {

struct EmbeddedText {
  std::string_view name;  ///< of the file, without its folder
  std::string_view text;
};

/// All files of longgen/serve/page/files/; cmake/embed_texts.cmake makes the source.
std::span<const EmbeddedText> page_texts();

}  // namespace longgen
