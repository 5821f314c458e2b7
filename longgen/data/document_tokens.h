// data/document_tokens.h: the tokens that a model has around a document.
#pragma once

#include <cstdint>
#include <optional>

#include "longgen/base/files.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

struct DocumentTokens {
  std::optional<int32_t> begin, end;
};

/// Finds the tokens around a document. `begin` is what the tokenizer's post-processor puts before a
/// text, if anything. `end` is what it puts after one; else eos_token_id of generation_config.json
/// or of config.json (of a list the first); else eos_token (tokenizer/special_tokens.h); else none.
/// Missing files are passed over. Throws Error when the post-processor adds more than one token on
/// a side, and when an id is not in the vocabulary.
DocumentTokens find_document_tokens(const Tokenizer& tokenizer, const fs::path& model_directory);

/// Throws Error when one of them is beyond the vocab_size of the model directory's config.json: a
/// tokenizer may have tokens that its model has not. Without a config.json nothing is checked.
void check_in_model(const DocumentTokens& tokens, const Tokenizer& tokenizer,
                    const fs::path& model_directory);

}  // namespace longgen
