#include "longgen/grammar/grammar_store.h"

#include <algorithm>

namespace longgen {

std::shared_ptr<const Grammar> GrammarStore::find(const std::string& ebnf) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.ebnf == ebnf; });
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  return found->grammar;
}

std::shared_ptr<const Grammar> GrammarStore::compile(const std::string& ebnf) {
  if (std::shared_ptr<const Grammar> known = find(ebnf)) return known;
  std::shared_ptr<const Grammar> grammar = Grammar::compile(tokens(), ebnf);
  if (grammar->memory_bytes() > kBytesOfOne) return nullptr;
  const std::lock_guard lock(mutex_);
  entries_.push_front({ebnf, grammar});
  bytes_ += entries_.front().bytes();
  while (bytes_ > most_bytes_) {
    bytes_ -= entries_.back().bytes();
    entries_.pop_back();
  }
  return grammar;
}

std::shared_ptr<const TokenBytes> GrammarStore::tokens() {
  std::call_once(tokens_are_read_,
                 [this] { tokens_ = std::make_shared<const TokenBytes>(read_tokens_()); });
  return tokens_;
}

}  // namespace longgen
