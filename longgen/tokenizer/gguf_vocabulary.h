// tokenizer/gguf_vocabulary.h: the tokenizer that a GGUF file carries, as Hugging Face files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace longgen {

/// The tokenizer.* metadata of a GGUF file, in plain types. Missing keys leave the defaults.
struct GgufVocabulary {
  std::string source;                ///< names the file in errors
  std::string model;                 ///< tokenizer.ggml.model: "gpt2" or "llama"
  std::string pre;                   ///< tokenizer.ggml.pre, gpt2 only: names how words are split
  std::vector<std::string> tokens;   ///< tokenizer.ggml.tokens
  std::vector<std::string> merges;   ///< tokenizer.ggml.merges, "a b"
  std::vector<float> scores;         ///< tokenizer.ggml.scores, llama only
  std::vector<int64_t> token_types;  ///< tokenizer.ggml.token_type; empty: all are normal
  std::optional<int64_t> bos_id, eos_id, unk_id, pad_id;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::optional<std::string> chat_template;  ///< tokenizer.chat_template
};

struct TokenizerFiles {
  std::string tokenizer_json;
  std::string tokenizer_config_json;
};

/// Makes the texts of tokenizer.json and tokenizer_config.json; PyPI tokenizers and transformers
/// open them and encode alike. "llama" (SentencePiece BPE) has no merges: they are rebuilt, all
/// pairs of pieces that make a piece, best score first. "gpt2" without a `pre`, or with "default",
/// is split as GPT-2 does, with a warning that names the option of import. Throws Error naming the
/// key, what was expected and what was found.
TokenizerFiles make_tokenizer_files(const GgufVocabulary& vocabulary);

}  // namespace longgen
