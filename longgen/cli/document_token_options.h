// cli/document_token_options.h: which tokens stand around documents, for commands that count or
// write them.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "longgen/data/document_tokens.h"

namespace longgen {

struct DocumentTokenOptions {
  std::string begin, end;  ///< a token's name or "none"; empty: what the model has
};

/// Adds --begin-token and --end-token.
void add_document_token_options(CLI::App* app, DocumentTokenOptions& options);

/// Returns the tokens that the options name, for those that are not given the model's own
/// (find_document_tokens()). Throws Error on a name that is no token, where neither the model nor
/// an option says what ends a document, and on an id that the model has not.
DocumentTokens choose_document_tokens(const Tokenizer& tokenizer, const std::string& model,
                                      const DocumentTokenOptions& options);

}  // namespace longgen
