// generation_fields.cpp: the fields that chat completions and completions share.
#include <charconv>
#include <set>

#include "longgen/base/check.h"
#include "longgen/serve/openai/fields.h"

namespace longgen::openai {
namespace {

constexpr size_t kMaxBiases = 1024, kMaxStops = 64, kMaxStopCharacters = 1024;

constexpr Choice<FormatKind, 3> kFormats = {{{{"text", FormatKind::text},
                                              {"json_object", FormatKind::json_object},
                                              {"json_schema", FormatKind::json_schema}}}};

/// Reads "50256", the way JSON writes an id as the name of a field.
int32_t id_of(const Input& input, const std::string& name, int64_t vocab_size) {
  int64_t id = -1;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, id);
  if (error != std::errc() || stop != end || id < 0 || id >= vocab_size) {
    refuse_at(input.path_of(name),
              detail::concat("expected the id of a token from 0 to ", vocab_size - 1,
                             " as the field's name, found \"", shortened(name), "\"."));
  }
  return static_cast<int32_t>(id);
}

Rule<std::vector<LogitBias>> logit_bias_rule(int64_t vocab_size) {
  const Rule<double> bias = number(-100, 100);
  OrderedJson schema = {{"type", "object"},
                        {"maxProperties", kMaxBiases},
                        {"propertyNames", {{"pattern", "^[0-9]+$"}}},
                        {"additionalProperties", bias.schema}};
  auto read = [read = bias.read, vocab_size](const Input& input) {
    const OrderedJson& json = input.json();
    if (!json.is_object() || json.size() > kMaxBiases) {
      input.refuse(detail::concat("an object of at most ", kMaxBiases, " fields"));
    }
    std::vector<LogitBias> biases;
    std::set<int32_t> seen;
    for (auto it = json.begin(); it != json.end(); ++it) {
      const int32_t id = id_of(input, it.key(), vocab_size);
      if (!seen.insert(id).second) {
        refuse_at(input.path_of(it.key()), "token " + std::to_string(id) + " stands here twice.");
      }
      biases.push_back({id, read(input.field(it.key(), it.value()))});
    }
    return biases;
  };
  return {std::move(schema), std::move(read)};
}

Rule<StreamOptions> stream_options_rule() {
  return FieldTable<StreamOptions>()
      .optional("include_usage", &StreamOptions::include_usage, boolean(),
                "Sends the counts of tokens in an event of their own, before [DONE].")
      .optional("continuous_usage_stats", &StreamOptions::continuous_usage_stats, boolean(),
                "Sends the counts so far with every event.")
      .fixed("include_obfuscation", false, "Nothing is added to the events.")
      .rule();
}

struct SchemaOfFormat {
  std::string name;
  std::optional<OrderedJson> schema;
};

struct FormatInput {
  FormatKind kind = FormatKind::text;
  std::optional<SchemaOfFormat> json_schema;
};

Rule<ResponseFormat> response_format_rule() {
  const Rule<SchemaOfFormat> schema =
      FieldTable<SchemaOfFormat>()
          .required("name", &SchemaOfFormat::name, name(), "A name for the schema.")
          .ignored("description", text(), "What the schema is for.")
          .optional("schema", &SchemaOfFormat::schema, any_object(), "A JSON Schema.")
          .ignored("strict", boolean(), "The reply follows the schema in any case.")
          .rule();
  const Rule<FormatInput> format =
      FieldTable<FormatInput>()
          .required("type", &FormatInput::kind, one_of(kFormats),
                    "\"text\", \"json_object\" (any JSON object) or \"json_schema\".")
          .optional("json_schema", &FormatInput::json_schema, schema,
                    "The schema, with the type json_schema.")
          .rule();
  return {
      format.schema, [read = format.read](const Input& input) -> ResponseFormat {
        const FormatInput found = read(input);
        const bool wants_schema = found.kind == FormatKind::json_schema;
        if (wants_schema != found.json_schema.has_value()) {
          refuse_at(input.path_of("json_schema"),
                    wants_schema ? "this field is required with the type \"json_schema\"."
                                 : "expected only with the type \"json_schema\".");
        }
        if (!wants_schema) return {found.kind, ""};
        return {found.kind, dump_json(found.json_schema->schema.value_or(OrderedJson::object()))};
      }};
}

void add_sampling(FieldTable<GenerationRequest>& table, const ReadLimits& limits) {
  using R = GenerationRequest;
  table.optional("n", &R::n, integer(1, 128), "How many answers to give to each prompt.")
      .optional("temperature", &R::temperature, number(0, 2),
                "Logits are divided by it; 0 always takes the most probable token.")
      .optional("top_p", &R::top_p, number_above(0, 1),
                "Draws from the fewest most probable tokens that have this share.")
      .optional("top_k", &R::top_k, integer(-1, INT32_MAX),
                "Draws from so many most probable tokens; 0 or -1 from all.")
      .optional("min_p", &R::min_p, number(0, 1),
                "Draws from tokens with at least this share of the most probable one's.")
      .optional("frequency_penalty", &R::frequency_penalty, number(-2, 2),
                "Is taken off a token's logit for each time that it was generated.")
      .optional("presence_penalty", &R::presence_penalty, number(-2, 2),
                "Is taken off a token's logit once it was generated.")
      .optional("repetition_penalty", &R::repetition_penalty, number_above(0, 1000),
                "Divides positive logits of tokens in prompt or answer, multiplies negative ones.")
      .optional("seed", &R::seed, integer(INT64_MIN, INT64_MAX),
                "The same seed and request draw the same tokens; without it they vary.")
      .optional("logit_bias", &R::logit_bias, logit_bias_rule(limits.vocab_size),
                "Is added to the logits: an object of token ids with numbers.");
}

void add_ends(FieldTable<GenerationRequest>& table, const ReadLimits& limits) {
  using R = GenerationRequest;
  table
      .optional("stop", &R::stop, one_or_list(text(1, kMaxStopCharacters), kMaxStops),
                "Texts of which each ends the answer before itself.")
      .optional("stop_token_ids", &R::stop_token_ids,
                list(token_id(limits.vocab_size), 0, kMaxStops),
                "Tokens of which each ends the answer, beside the model's own.")
      .optional("min_tokens", &R::min_tokens, integer(0, INT32_MAX),
                "So many tokens are generated before one may end the answer.")
      .optional("ignore_eos", &R::ignore_eos, boolean(),
                "Goes on after the model's own end, until another one.")
      .optional("response_format", &R::response_format, response_format_rule(),
                "Makes the answer JSON, of a schema if one is given.");
}

void add_service(FieldTable<GenerationRequest>& table) {
  using R = GenerationRequest;
  table
      .optional("prompt_logprobs", &R::prompt_logprobs, integer(0, 20),
                "Gives the log probabilities of the prompt's tokens, with so many best ones.")
      .optional("priority", &R::priority, integer(INT32_MIN, INT32_MAX),
                "Requests with a lower number go first.")
      .optional("cache_salt", &R::cache_salt, text(1, 256),
                "Prefixes are shared only among requests with the same text here.")
      .optional("stream", &R::stream, boolean(), "Sends the answer in parts, as events.")
      .optional("stream_options", &R::stream_options, stream_options_rule(),
                "What else a stream holds; only with stream.")
      .optional("return_progress", &R::return_progress, boolean(),
                "Sends how much of the prompt is read; only with stream.");
}

/// What OpenAI's clients send of their own accord, and other servers know.
void add_others(FieldTable<GenerationRequest>& table) {
  table.ignored("user", text(0, 1024), "Who the client acts for; not used.")
      .ignored("safety_identifier", text(0, 1024), "The same, hashed; not used.")
      .ignored("prompt_cache_key", text(0, 1024), "Prefixes are found without it; not used.")
      .ignored("metadata", any_object(), "The client's notes; not used.")
      .fixed("service_tier", "auto", "There is one tier.")
      .fixed("best_of", 1, "Ask for n answers and choose.")
      .refused("use_beam_search", "Answers are sampled, or greedy at temperature 0.")
      .refused("length_penalty", "It belongs to beam search.")
      .refused("truncate_prompt_tokens", "Prompts are never cut; send a shorter one.")
      .refused("skip_special_tokens", "Special tokens never become text.")
      .refused("include_stop_str_in_output", "The text ends before a stop string.")
      .refused("allowed_token_ids", "Use response_format or logit_bias.")
      .refused("bad_words", "Use logit_bias.")
      .refused("guided_json", "Use response_format.")
      .refused("guided_regex", "Use response_format.")
      .refused("structured_outputs", "Use response_format.");
}

}  // namespace

Rule<std::string> model_rule() { return text(1, 1024); }

FieldTable<GenerationRequest> generation_fields(const ReadLimits& limits) {
  FieldTable<GenerationRequest> table;
  table.optional("model", &GenerationRequest::model, model_rule(), kModelSentence);
  add_sampling(table, limits);
  add_ends(table, limits);
  add_service(table);
  add_others(table);
  return table;
}

}  // namespace longgen::openai
