#include "longgen/serve/openai/logprobs.h"

#include <algorithm>
#include <cmath>

#include "longgen/tokenizer/utf8.h"

namespace longgen::openai {
namespace {

constexpr double kLeast = -9999;

double finite(double logprob) { return logprob > kLeast ? logprob : kLeast; }

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

OrderedJson bytes_json(const std::string& bytes) {
  OrderedJson list = OrderedJson::array();
  for (const char c : bytes) list.push_back(static_cast<int>(static_cast<unsigned char>(c)));
  return list;
}

OrderedJson chat_token(const TokenLogprob& token) {
  return {{"token", replace_invalid_utf8(token.bytes)},
          {"logprob", finite(token.logprob)},
          {"bytes", bytes_json(token.bytes)}};
}

/// The tokens are the names of fields there, so that of two with one text the likelier one stays.
OrderedJson top_by_text(const PlaceLogprobs& place) {
  OrderedJson top = OrderedJson::object();
  const auto add = [&top](const TokenLogprob& token) {
    const std::string text = replace_invalid_utf8(token.bytes);
    if (!top.contains(text)) top[text] = finite(token.logprob);
  };
  for (const TokenLogprob& token : place.top) add(token);
  add(place.token);
  return top;
}

}  // namespace

OrderedJson chat_logprobs(std::span<const PlaceLogprobs> places) {
  OrderedJson content = OrderedJson::array();
  for (const PlaceLogprobs& place : places) {
    OrderedJson token = chat_token(place.token);
    token["top_logprobs"] = OrderedJson::array();
    for (const TokenLogprob& each : place.top) token["top_logprobs"].push_back(chat_token(each));
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

OrderedJson prompt_logprobs(std::span<const PlaceLogprobs> places) {
  OrderedJson list = OrderedJson::array();
  for (const PlaceLogprobs& place : places) {
    if (!place.predicted) {
      list.push_back(nullptr);
      continue;
    }
    OrderedJson by_id = OrderedJson::object();
    const auto add = [&by_id](const TokenLogprob& token, int64_t rank) {
      by_id[std::to_string(token.id)] = {{"logprob", finite(token.logprob)},
                                         {"rank", rank},
                                         {"decoded_token", replace_invalid_utf8(token.bytes)}};
    };
    add(place.token, place.rank);
    for (size_t i = 0; i < place.top.size(); ++i) {
      if (place.top[i].id != place.token.id) add(place.top[i], static_cast<int64_t>(i) + 1);
    }
    list.push_back(std::move(by_id));
  }
  return list;
}

OrderedJson CompletionLogprobs::next(std::span<const PlaceLogprobs> places) {
  OrderedJson tokens = OrderedJson::array(), logprobs = OrderedJson::array(),
              top = OrderedJson::array(), offsets = OrderedJson::array();
  for (const PlaceLogprobs& place : places) {
    const std::string& bytes = place.token.bytes;
    const bool inside = !bytes.empty() && continues_character(bytes[0]) && num_characters_ > 0;
    offsets.push_back(num_characters_ - (inside ? 1 : 0));
    num_characters_ +=
        std::count_if(bytes.begin(), bytes.end(), [](char c) { return !continues_character(c); });
    tokens.push_back(replace_invalid_utf8(bytes));
    logprobs.push_back(place.predicted ? OrderedJson(finite(place.token.logprob)) : nullptr);
    top.push_back(place.predicted ? top_by_text(place) : OrderedJson(nullptr));
  }
  return {{"text_offset", std::move(offsets)},
          {"token_logprobs", std::move(logprobs)},
          {"tokens", std::move(tokens)},
          {"top_logprobs", std::move(top)}};
}

}  // namespace longgen::openai
