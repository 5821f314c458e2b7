// completion_fields.cpp: the fields of completions, and of tokenize and detokenize.
#include "longgen/serve/openai/fields.h"

namespace longgen::openai {
namespace {

constexpr size_t kMaxPrompts = 2048;

/// A text, a list of ids, or a list of either: JSON says which by the first item.
Rule<std::vector<Prompt>> prompt_rule(int64_t vocab_size) {
  const auto one_text = text();
  const auto texts = list(text(), 1, kMaxPrompts);
  const auto ids = list(token_id(vocab_size), 1);
  const auto lists = list(ids, 1, kMaxPrompts);
  OrderedJson schema = {{"anyOf", {one_text.schema, texts.schema, ids.schema, lists.schema}}};
  auto read = [texts = texts.read, ids = ids.read,
               lists = lists.read](const Input& input) -> std::vector<Prompt> {
    const OrderedJson& json = input.json();
    if (json.is_string()) return {json.get<std::string>()};
    if (!json.is_array() || json.empty()) {
      input.refuse("a text, a list of texts, a list of token ids or a list of such lists");
    }
    std::vector<Prompt> prompts;
    if (json[0].is_string()) {
      for (std::string& each : texts(input)) prompts.emplace_back(std::move(each));
    } else if (json[0].is_array()) {
      for (std::vector<int32_t>& each : lists(input)) prompts.emplace_back(std::move(each));
    } else {
      prompts.emplace_back(ids(input));
    }
    return prompts;
  };
  return {std::move(schema), std::move(read)};
}

}  // namespace

FieldTable<CompletionRequest> completion_fields(const ReadLimits& limits) {
  using R = CompletionRequest;
  FieldTable<R> table;
  table
      .required("prompt", &R::prompts, prompt_rule(limits.vocab_size),
                "A text, token ids, or a list of either; each is answered.")
      .with(generation_fields(limits))
      .optional("max_tokens", &R::max_tokens, integer(0, INT32_MAX),
                "The most tokens to generate; 0 only reads the prompt.")
      .optional("echo", &R::echo, boolean(), "Gives the prompt before the answer.")
      .optional("logprobs", &R::logprobs, integer(0, 20),
                "Gives the tokens' log probabilities, with so many best ones at each place.")
      .optional("add_special_tokens", &R::add_special_tokens, boolean(),
                "Puts around a text what the model's tokenizer puts around texts.")
      .refused("suffix", "The model continues texts and does not fill them in.");
  return table;
}

FieldTable<TokenizeRequest> tokenize_fields() {
  using R = TokenizeRequest;
  FieldTable<R> table;
  table.optional("model", &R::model, model_rule(), kModelSentence)
      .optional("prompt", &R::prompt, text(), "The text; either this or messages is given.")
      .optional("messages", &R::messages, messages_rule(),
                "A conversation, which the model's chat template makes a text of.")
      .optional("tools", &R::tools, tools_rule(), "Functions; only with messages.")
      .optional("chat_template_kwargs", &R::template_variables, template_variables_rule(),
                "Variables of the chat template; only with messages.")
      .optional("add_generation_prompt", &R::add_generation_prompt, boolean(),
                "Ends messages with the beginning of the assistant's turn.")
      .optional("add_special_tokens", &R::add_special_tokens, boolean(),
                "Puts around a prompt what the model's tokenizer puts around texts.")
      .optional("return_token_strs", &R::return_token_strs, boolean(),
                "Gives the tokens as texts, too.");
  return table;
}

FieldTable<DetokenizeRequest> detokenize_fields(const ReadLimits& limits) {
  using R = DetokenizeRequest;
  FieldTable<R> table;
  table.optional("model", &R::model, model_rule(), kModelSentence)
      .required("tokens", &R::tokens, list(token_id(limits.vocab_size)), "The ids of tokens.");
  return table;
}

}  // namespace longgen::openai
