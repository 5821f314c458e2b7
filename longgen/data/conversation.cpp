#include "longgen/data/conversation.h"

#include <algorithm>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/ordered_json.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

/// The date that the templates of Llama 3 write where they are given none.
std::tm fixed_date() {
  std::tm date{};
  date.tm_year = 2024 - 1900;
  date.tm_mon = 6;
  date.tm_mday = 26;
  date.tm_wday = 5;
  date.tm_yday = 207;
  return date;
}

bool is_assistant(const OrderedJson& message) {
  const auto role = message.find("role");
  return role != message.end() && *role == "assistant";
}

/// The request with the first messages alone.
ChatRequest first_messages(ChatRequest request, size_t count, bool add_generation_prompt) {
  OrderedJson& messages = request.messages;
  messages.erase(messages.begin() + static_cast<ptrdiff_t>(count), messages.end());
  request.add_generation_prompt = add_generation_prompt;
  return request;
}

/// Returns how many bytes both texts begin with.
size_t num_equal(const std::string& a, const std::string& b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

std::string shown_from(const std::string& text, size_t at) {
  return "\"" + replace_invalid_utf8(text.substr(std::min(at, text.size()), 40)) + "\"";
}

}  // namespace

ConversationEncoder::ConversationEncoder(const Tokenizer& tokenizer, ChatTemplate format,
                                         ChatRequest request)
    : tokenizer_(tokenizer), format_(std::move(format)), request_(std::move(request)) {
  format_.set_now(fixed_date());
  for (const std::string& token : format_.stop_tokens(tokenizer)) {
    if (const auto id = tokenizer.token_id(token)) stop_ids_.insert(*id);
  }
}

MarkedTokens ConversationEncoder::encode(std::string_view json) const {
  const OrderedJson line = parse_ordered_json(json, "the line");
  ChatRequest request = request_;
  request.messages = line.at("messages");
  const auto tools = line.find("tools");
  if (tools != line.end() && !tools->is_null()) request.tools = *tools;
  request.add_generation_prompt = false;
  const RenderedChat chat = format_.render(request);
  std::vector<ByteRange> places;
  MarkedTokens tokens;
  tokens.ids = tokenizer_.encode(chat.text, chat.written, &places);
  const auto turns = assistant_turns(request, chat.text, tokens.ids, places);
  tokens.marks = mark_places(places, turns, Mark::ordinary, Mark::ignored);
  tokens.text_bytes = static_cast<int64_t>(chat.text.size());
  return tokens;
}

/// Finds the bytes of the text that the assistant wrote.
std::vector<ByteRange> ConversationEncoder::assistant_turns(
    const ChatRequest& request, const std::string& text, const std::vector<int32_t>& ids,
    const std::vector<ByteRange>& places) const {
  std::vector<ByteRange> turns;
  for (size_t i = 0; i < request.messages.size(); ++i) {
    if (!is_assistant(request.messages[i])) continue;
    LG_CHECK(i > 0,
             "messages[0]: expected a conversation that begins with another role than "
             "assistant, because the assistant's first turn would answer nothing.");
    const size_t begin = begin_of_turn(request, i, text);
    turns.push_back({begin, end_of_turn(request, i, begin, text, ids, places)});
  }
  LG_CHECK(!turns.empty(),
           "messages: expected a turn of the role assistant, found none: nothing "
           "of this conversation would be learned.");
  return turns;
}

/// Finds where a turn goes on otherwise than the template begins a reply, or behind that beginning.
size_t ConversationEncoder::begin_of_turn(const ChatRequest& request, size_t message,
                                          const std::string& text) const {
  const std::string prompt = format_.render(first_messages(request, message, true)).text;
  const size_t begin = num_equal(prompt, text);
  if (begin == prompt.size()) return begin;
  // Templates of models that reason may begin a reply with "<think>" and drop it from the history.
  const std::string before = format_.render(first_messages(request, message, false)).text;
  if (text.starts_with(before) && prompt.starts_with(before)) return begin;
  const size_t at = std::min(begin, num_equal(before, text));
  LG_FAIL(format_.source(), ": this chat template writes the conversation before messages[",
          message, "] otherwise where that message follows: ", shown_from(before, at), " becomes ",
          shown_from(text, at), " at byte ", at,
          ". Which tokens are the assistant's cannot be told.");
}

/// Finds where the turn that begins at this byte ends: behind the token that ends it, or where the
/// template's part for the message ends.
size_t ConversationEncoder::end_of_turn(const ChatRequest& request, size_t message, size_t begin,
                                        const std::string& text, const std::vector<int32_t>& ids,
                                        const std::vector<ByteRange>& places) const {
  const std::string with = format_.render(first_messages(request, message + 1, false)).text;
  const bool goes_on = with.size() >= begin && text.starts_with(with);
  const auto first = std::ranges::lower_bound(places, begin, {}, &ByteRange::begin);
  size_t end = begin;
  for (auto t = static_cast<size_t>(first - places.begin()); t < ids.size(); ++t) {
    const bool stops = stop_ids_.contains(ids[t]);
    if (goes_on && places[t].end > with.size()) break;
    if (goes_on && stops) end = places[t].end;
    // Templates that write the last turn otherwise than earlier ones (with its reasoning) end both
    // with the same token.
    if (!goes_on && stops) return places[t].end;
    if (!goes_on && tokenizer_.is_special(ids[t])) break;
  }
  if (goes_on) return end > begin ? end : with.size();
  LG_FAIL(format_.source(), ": this chat template writes messages[", message,
          "] otherwise where others follow, and no token that ends a turn behind it. Which tokens "
          "are the assistant's cannot be told.");
}

}  // namespace longgen
