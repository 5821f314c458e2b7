// chat_fuzz.cpp: bytes as a chat template, and after the first NUL a conversation as
// JSON (without one, a fixed conversation). What is refused must be refused by a message
// that says where; what is rendered must be UTF-8 within the limits, and the ranges of
// what the template wrote must be in order.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "longgen/base/check.h"
#include "longgen/base/ordered_json.h"
#include "longgen/chat/chat_template.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

constexpr jinja::Limits kLimits = {.steps = 200'000,
                                   .depth = 400,
                                   .value_depth = 100,
                                   .text_bytes = 1 << 20,
                                   .list_items = 1 << 16,
                                   .memory_bytes = 16 << 20};

ChatRequest fixed_request() {
  ChatRequest request{.add_generation_prompt = true};
  request.messages = {chat_message("system", "a <|im_end|>"), chat_message("user", "b\xC3\xA9")};
  request.messages.push_back({{"role", "assistant"},
                              {"content", nullptr},
                              {"tool_calls", {{{"function", {{"name", "f"}, {"n", 1.5}}}}}}});
  request.tools = OrderedJson::array({OrderedJson{{"type", "function"}}});
  return request;
}

void check(const RenderedChat& chat) {
  if (!is_valid_utf8(chat.text) || chat.text.size() > kLimits.text_bytes) std::abort();
  size_t done = 0;
  bool first = true;
  for (const ByteRange& range : chat.written) {
    const bool ordered = (first || range.begin > done) && range.begin < range.end;
    if (!ordered || range.end > chat.text.size()) std::abort();
    done = range.end;
    first = false;
  }
}

void render(std::string_view text, const ChatRequest& request) {
  try {
    ChatTemplate chat(std::string(text), "fuzz.jinja", {{"bos_token", "<s>"}}, kLimits);
    chat.set_now(std::tm{});
    check(chat.render(request));
  } catch (const Error& error) {
    const std::string_view message = error.what();
    const bool says_where = message.starts_with("fuzz.jinja:") || message.starts_with("[chat] ");
    if (!says_where || !is_valid_utf8(message)) std::abort();
  }
}

}  // namespace
}  // namespace longgen

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longgen;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t nul = bytes.find('\0');
  ChatRequest request = fixed_request();
  if (nul != std::string_view::npos) {
    try {
      request.messages = parse_ordered_json(bytes.substr(nul + 1), "messages");
    } catch (const Error&) {
      return 0;  // base's reader of JSON is fuzzed with the others
    }
  }
  render(bytes.substr(0, nul), request);
  return 0;
}
