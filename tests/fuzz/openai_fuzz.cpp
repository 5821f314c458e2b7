// openai_fuzz.cpp: bytes as the body of each route, and as what a model says. What is refused must
// be refused by an ApiError of valid UTF-8, whose object can be read; a reply must come out of the
// parser of calls the same whether it comes whole or byte by byte.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "longgen/base/ordered_json.h"
#include "longgen/serve/openai/api_error.h"
#include "longgen/serve/openai/request_reader.h"
#include "longgen/serve/openai/tool_calls.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::openai {
namespace {

template <typename Read>
void read(const Read& read) {
  try {
    read();
  } catch (const ApiError& error) {
    const bool good = error.status() == 400 && is_valid_utf8(error.what()) &&
                      parse_ordered_json(error.json(), "error")["error"]["message"] == error.what();
    if (!good) std::abort();
  }
}

std::string parts(ToolFormat format, std::string_view reply, size_t piece) {
  ToolCallParser parser(format, {"f"}, "r");
  std::string all;
  const auto add = [&all](const std::vector<ReplyPart>& parts) {
    for (const ReplyPart& part : parts) {
      all += part.call ? "[" + part.call->id + part.call->arguments + "]" : part.text;
    }
  };
  for (size_t i = 0; i < reply.size(); i += piece) add(parser.push(reply.substr(i, piece)));
  add(parser.finish());
  return all;
}

}  // namespace
}  // namespace longgen::openai

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longgen::openai;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static const RequestReader reader({.vocab_size = 1000});
  read([&] { reader.chat(bytes); });
  read([&] { reader.completion(bytes); });
  read([&] { reader.tokenize(bytes); });
  read([&] { reader.detokenize(bytes); });
  for (const ToolFormat format : {ToolFormat::hermes, ToolFormat::llama3}) {
    if (parts(format, bytes, 1) != parts(format, bytes, size + 1)) std::abort();
  }
  return 0;
}
