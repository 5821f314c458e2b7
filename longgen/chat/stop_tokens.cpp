// ChatTemplate::stop_tokens().
#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/chat/chat_template.h"

namespace longgen {
namespace {

// A word that no template writes itself.
constexpr const char* kReply = "longgenreply";

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

/// What stands after the reply, with the template's ranges.
std::optional<RenderedChat> after_reply(const RenderedChat& chat) {
  const size_t at = chat.text.rfind(kReply);
  if (at == std::string::npos) return std::nullopt;
  const size_t begin = at + std::string_view(kReply).size();
  RenderedChat rest{chat.text.substr(begin), {}};
  for (const ByteRange& range : chat.written) {
    if (range.end > begin) {
      rest.written.push_back({std::max(range.begin, begin) - begin, range.end - begin});
    }
  }
  return rest;
}

}  // namespace

std::optional<std::string> ChatTemplate::end_of_turn(const Tokenizer& tokenizer,
                                                     const OrderedJson& messages) const {
  std::optional<RenderedChat> rest;
  try {
    rest = after_reply(render({.messages = messages}));
  } catch (const Error&) {
    return std::nullopt;  // a conversation that this template does not take
  }
  if (!rest) return std::nullopt;
  for (const int32_t id : rest->encode(tokenizer)) {
    const std::string text = tokenizer.decode(std::span(&id, 1));
    const bool ends = tokenizer.is_special(id) || (tokenizer.is_added(id) && !is_blank(text));
    if (ends) return tokenizer.token(id);
    if (!is_blank(text)) break;
  }
  return std::nullopt;
}

std::vector<std::string> ChatTemplate::stop_tokens(const Tokenizer& tokenizer) const {
  std::vector<std::string> stops;
  const OrderedJson question = chat_message("user", "Hello");
  const OrderedJson reply = chat_message("assistant", kReply);
  // Templates of models that see pictures want a list of parts.
  OrderedJson parts = reply;
  parts["content"] = OrderedJson::array({OrderedJson{{"type", "text"}, {"text", kReply}}});
  // The last turn first: a turn further up may end otherwise.
  for (const OrderedJson& conversation :
       {OrderedJson::array({question, reply}), OrderedJson::array({question, parts}),
        OrderedJson::array({question, reply, question})}) {
    const std::optional<std::string> end = end_of_turn(tokenizer, conversation);
    if (!end) continue;
    stops.push_back(*end);
    break;
  }
  const auto eos = tokens_.find("eos_token");
  const bool adds_eos = eos != tokens_.end() && tokenizer.token_id(eos->second) &&
                        std::find(stops.begin(), stops.end(), eos->second) == stops.end();
  if (adds_eos) stops.push_back(eos->second);
  return stops;
}

}  // namespace longgen
