// grammar/grammar_store.h: grammars that were asked for lately.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "longgen/grammar/grammar.h"

namespace longgen {

/// Keeps those that were used last, in as many bytes. From any thread.
class GrammarStore {
 public:
  static constexpr int64_t kBytes = int64_t{256} << 20;
  static constexpr int64_t kBytesOfOne = kBytes / 2;

  /// `tokens` is called once, by the first who compiles.
  explicit GrammarStore(std::function<std::vector<std::string>()> tokens,
                        int64_t most_bytes = kBytes)
      : read_tokens_(std::move(tokens)), most_bytes_(most_bytes) {}

  /// nullptr: it has to be compiled.
  std::shared_ptr<const Grammar> find(const std::string& ebnf);
  /// Compiles it unless it is there; nullptr where it takes more than kBytesOfOne. Throws as
  /// Grammar::compile().
  std::shared_ptr<const Grammar> compile(const std::string& ebnf);

 private:
  struct Entry {
    std::string ebnf;
    std::shared_ptr<const Grammar> grammar;
    int64_t bytes() const { return std::ssize(ebnf) + grammar->memory_bytes(); }
  };
  std::shared_ptr<const TokenBytes> tokens();

  std::function<std::vector<std::string>()> read_tokens_;
  const int64_t most_bytes_;
  std::once_flag tokens_are_read_;
  std::shared_ptr<const TokenBytes> tokens_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // the one that was used last first
  int64_t bytes_ = 0;
};

}  // namespace longgen
