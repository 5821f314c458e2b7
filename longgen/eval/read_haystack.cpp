#include "longgen/eval/read_haystack.h"

#include <string>
#include <string_view>

#include "longgen/data/documents.h"

namespace longgen {

Haystack read_haystack(const std::vector<fs::path>& inputs) {
  std::string text, source;
  for (const fs::path& input : inputs) source += (source.empty() ? "" : ", ") + input.string();
  for_each_document(inputs, "text", [&](std::string_view document) {
    text += document;
    text += "\n<|endoftext|>\n";
    return true;
  });
  return Haystack::from_text(text, source);
}

}  // namespace longgen
