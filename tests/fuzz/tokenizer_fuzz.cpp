// tokenizer_fuzz.cpp: bytes as a tokenizer.json. What loads must encode and decode without a crash,
// and streaming must give what decode gives. The bytes after a NUL are the text to encode; without
// one, a fixed text is.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/tokenizer/tokenizer.h"

namespace {

constexpr std::string_view kText =
    "Hello  wörld, it's 123 \xF0\x9F\x8E\x89 <s> \xE2\x96\x81 \xFF\n\n ab ab";

void encode_and_decode(const longgen::Tokenizer& tokenizer, std::string_view text) {
  const std::vector<int32_t> ids =
      tokenizer.encode(text, {.add_special_tokens = true, .parse_special = true});
  const std::string decoded = tokenizer.decode(ids);
  longgen::StreamDecoder stream(tokenizer, false);
  std::string joined;
  for (const int32_t id : ids) joined += stream.push(id);
  if (joined + stream.finish() != decoded) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t nul = bytes.find('\0');
  const std::string_view json = bytes.substr(0, nul);
  const std::string_view text = nul == std::string_view::npos ? kText : bytes.substr(nul + 1, 2000);
  try {
    encode_and_decode(longgen::Tokenizer::from_json(json, "fuzz"), text);
  } catch (const longgen::Error&) {
    // What a bad file is answered with.
  }
  return 0;
}
