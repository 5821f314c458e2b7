// longgen.h: the library for C++ programs, the only header that is installed with the one of its
// error type. It needs C++20 and its standard library, and includes nothing else.
//
//   const longgen::Model model("hyb");
//   longgen::Generator generator(model);
//   std::cout << generator.generate("Once upon a time").text << '\n';
//
// Errors: every function may throw longgen::Error, whose message says what was expected, what was
// found and what to do, and std::bad_alloc. What a callback throws passes through. An object that
// threw can be used again, as if the call had not been made.
//
// Threads: a Model may be used by several threads at once. A Generator, a Conversation or a Scorer
// belongs to one thread at a time; on the CPU several of them may work on one model at once. On a
// GPU let one at a time work.
//
// Ownership: a Model is a handle; copies share the weights. What is made of a model keeps it alive.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "longgen/base/error.h"

namespace longgen {

/// Sets where warnings go from now on, such as one of a field of config.json that is not known. By
/// default, and with an empty function, they go to stderr. It is one function for the process. The
/// thread that has a warning calls it, and any thread may set it.
void set_warning_handler(std::function<void(const std::string& warning)> handler);

struct OpenOptions {
  /// "cpu", "cuda" (the first NVIDIA GPU) or "cuda:N" (counted from 0). A GPU that cannot be used
  /// is an error: there is no quiet fall back.
  std::string device = "cpu";
  /// "float32", "bfloat16", or "auto": bfloat16 on a GPU and on processors that are faster with it,
  /// else float32. On a GPU only bfloat16.
  std::string dtype = "auto";
  /// Threads to compute with, one per core for 0. It is one number for the process: the last model
  /// opened counts.
  int64_t threads = 0;
};

/// Which special tokens ("<s>", "<|im_end|>") encoding a text makes.
enum class SpecialTokens {
  none,    ///< Text is text: characters that spell a special token are ordinary characters.
  around,  ///< As `none`, and what the tokenizer puts around a text (often one at its beginning).
  spelled  ///< As `around`, and those that the text spells. Not for text from strangers.
};

struct ModelFacts {
  std::string family;  ///< model_type of config.json: "llama", "qwen2", ...
  int64_t num_layers = 0;
  std::vector<int64_t> full_layers;  ///< Layers with full attention, ascending.
  bool is_hybrid = false;            ///< The other layers follow a sparse pattern.
  int64_t width = 0;                 ///< Of a hidden state.
  int64_t num_parameters = 0;
  int64_t vocab_size = 0;        ///< Of the tokenizer, whose tokens are generated.
  int64_t context = 0;           ///< The longest text in tokens that the model is made for.
  int64_t original_context = 0;  ///< Before it was extended; else equal to context.
};

/// A model directory (as `longgen import` and `convert` write, or of Hugging Face) on a device.
class Model {
 public:
  /// Reads config.json, the weights and tokenizer.json. Throws Error where the path is no model
  /// directory, where a file is damaged or asks for what longgen does not do, and where the device
  /// cannot be used.
  explicit Model(const std::string& directory, const OpenOptions& options = {});

  const ModelFacts& facts() const;
  const std::string& directory() const;
  /// What the model computes in: "float32" or "bfloat16".
  const std::string& dtype() const;

  /// Gives the tokens of a text. Bytes that are not UTF-8 count as U+FFFD.
  std::vector<int32_t> encode(std::string_view text,
                              SpecialTokens special = SpecialTokens::around) const;
  /// Gives the text of tokens, without the special ones. Throws Error on a token that is not in the
  /// vocabulary.
  std::string decode(const std::vector<int32_t>& tokens) const;

  struct Impl;
  /// For the library itself.
  const Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

/// How to generate. Filters act in the order of their fields.
struct GenerationOptions {
  int64_t max_tokens = 512;  ///< At most so many tokens are generated.

  /// Above 1 makes tokens that stand in the text less probable; above 0, at most 1000.
  double repetition_penalty = 1;
  double temperature = 0;  ///< 0 takes the most probable token; higher is more varied.
  int64_t top_k = 0;       ///< Draws from so many most probable tokens; 0: from all.
  /// Draws from the fewest tokens that have this share of the probability; above 0, at most 1.
  double top_p = 1;
  /// Draws from tokens with this share of the most probable one's probability; 0 to 1.
  double min_p = 0;
  uint64_t seed = 0;  ///< Of the draws: the same seed and options give the same text.

  std::vector<std::string> stop = {};     ///< Each ends the text before itself.
  std::vector<int32_t> stop_tokens = {};  ///< Each ends the text, beside the model's own.
  bool ignore_eos = false;                ///< Goes on after the model's own stop tokens.

  /// Special tokens of a prompt given as text. A conversation does not read it.
  SpecialTokens special = SpecialTokens::around;

  /// Called with every part of the text as it becomes certain: whole characters, never empty.
  /// Returning false ends the generation: what was generated so far is the result.
  std::function<bool(std::string_view text)> on_text = {};
  /// Called while the prompt is read, with the tokens that are done and all of them. Returning
  /// false ends it: the result has no text.
  std::function<bool(int64_t done_tokens, int64_t prompt_tokens)> on_prompt = {};
};

enum class GenerationEnd {
  stop_token,   ///< The model, or GenerationOptions::stop_tokens.
  stop_string,  ///< GenerationOptions::stop.
  length,       ///< GenerationOptions::max_tokens.
  cancelled     ///< A callback returned false.
};

struct Generation {
  std::string text;
  std::vector<int32_t> tokens;  ///< A stop token included, whose text is not part of the text.
  GenerationEnd end = GenerationEnd::length;

  int64_t prompt_tokens = 0;        ///< Read by this call. A conversation reads only what is new.
  double first_token_seconds = 0;   ///< From the call to the first token.
  double decode_seconds = 0;        ///< From the first token to the last.
  double tokens_per_second = 0;     ///< After the first token; 0 for fewer than two.
  int64_t kv_cache_bytes = 0;       ///< What keys and values hold at the end.
  int64_t full_kv_cache_bytes = 0;  ///< What they would hold if every layer were full.
};

/// Continues texts. Every call begins a new one; memory is used again.
class Generator {
 public:
  /// `prefill_chunk`: so many tokens of a prompt pass the layers at once; 0: 512 on the CPU, 8,192
  /// on a GPU. Larger needs more memory.
  explicit Generator(const Model& model, int64_t prefill_chunk = 0);
  ~Generator();
  Generator(Generator&&) noexcept;
  Generator& operator=(Generator&&) noexcept;

  /// Continues a text. Throws Error on a prompt without tokens and on options out of range.
  Generation generate(std::string_view prompt, const GenerationOptions& options = {});
  /// Continues tokens. Throws Error on one that is not in the vocabulary.
  Generation generate(const std::vector<int32_t>& prompt, const GenerationOptions& options = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct Message {
  std::string role;  ///< "system", "user" or "assistant".
  std::string content;
};

struct ConversationOptions {
  std::optional<std::string> system = {};  ///< The system message, if there is one.
  /// Variables of the chat template as the text of a JSON object, or empty: {"enable_thinking":
  /// false}. "tools" and "documents" are what templates know by these names.
  std::string template_variables = {};
  int64_t prefill_chunk = 0;  ///< See Generator.
};

/// Talks to a model through its chat template. What was said before stays in the KV cache: a turn
/// reads only what is new. Special tokens that a message spells are ordinary text.
class Conversation {
 public:
  /// Throws Error where the model has no chat template, or one that does not take the options.
  explicit Conversation(const Model& model, const ConversationOptions& options = {});
  ~Conversation();
  Conversation(Conversation&&) noexcept;
  Conversation& operator=(Conversation&&) noexcept;

  /// Asks, and gives the reply, which also joins the messages. Where a callback ends it before its
  /// first token, and where this throws, the question is taken back.
  Generation ask(const std::string& message, const GenerationOptions& options = {});

  /// Sets the system message, or none, of the turns to come and of those so far, which are read
  /// again. Throws Error where the chat template takes no such message: nothing has changed then.
  void set_system(const std::optional<std::string>& text);
  /// Forgets all messages but the system's.
  void reset();

  /// All messages so far, the system's among them.
  std::vector<Message> messages() const;
  /// Counts the tokens of all that was asked and answered.
  int64_t num_tokens() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct ScorerOptions {
  int64_t top = 0;  ///< How many of the most probable tokens to give at each place.
  SpecialTokens special = SpecialTokens::none;
  int64_t prefill_chunk = 0;  ///< See Generator.
};

/// How probable a model finds the T tokens of a text.
struct TextScores {
  std::vector<int32_t> tokens;  ///< (T)
  /// (T - 1), or none where T is 0: natural logarithms. Entry i is that of tokens[i + 1] given
  /// tokens[0 ... i]; nothing is given before the first token.
  std::vector<float> logprobs;
  /// (T - 1) at the same places the most probable tokens with their logarithms, best first; empty
  /// unless ScorerOptions::top asks for them.
  std::vector<std::vector<std::pair<int32_t, float>>> top;

  double sum() const;  ///< Of logprobs.
};

/// Gives log-probabilities of texts. Texts do not see each other.
class Scorer {
 public:
  explicit Scorer(const Model& model, const ScorerOptions& options = {});
  ~Scorer();
  Scorer(Scorer&&) noexcept;
  Scorer& operator=(Scorer&&) noexcept;

  /// Scores a text. One without tokens gives no scores.
  TextScores score(std::string_view text);
  /// Scores tokens. Throws Error on one that the model has not.
  TextScores score(const std::vector<int32_t>& tokens);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace longgen
