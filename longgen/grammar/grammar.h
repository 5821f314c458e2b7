// grammar/grammar.h: what a reply may be, token by token. xgrammar does the work; only grammar.cpp
// knows it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace longgen {

/// The bytes of each token. It does not change once it is made, so that all threads read it.
class TokenBytes {
 public:
  /// `bytes`: of tokens 0, 1, ...; those that are empty are never drawn.
  explicit TokenBytes(const std::vector<std::string>& bytes);
  ~TokenBytes();

  int64_t size() const;
  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// A grammar that is ready for the tokens. Several threads and sequences may read one.
class Grammar {
 public:
  /// Compiles a grammar in xgrammar's EBNF (grammar/ebnf_rules.h). It takes up to some seconds and
  /// cannot be interrupted. Throws Error where xgrammar does not take it.
  static std::shared_ptr<const Grammar> compile(std::shared_ptr<const TokenBytes> tokens,
                                                const std::string& ebnf);
  ~Grammar();

  int64_t memory_bytes() const;
  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit Grammar(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Follows one reply, whose tokens make UTF-8 together. Of white space between parts of JSON at
/// most kMostSpaces characters may come one after the other (a token may go beyond): no reply
/// consists of nothing else.
class GrammarMatcher {
 public:
  static constexpr int64_t kMostSpaces = 64;

  /// Where the grammar has come to an end, one of the stop tokens may follow. Throws Error where
  /// none of them is a token.
  GrammarMatcher(std::shared_ptr<const Grammar> grammar, const std::vector<int32_t>& stop_tokens);
  ~GrammarMatcher();
  GrammarMatcher(GrammarMatcher&&) noexcept;
  GrammarMatcher& operator=(GrammarMatcher&&) noexcept;

  /// Bit t % 32 of word t / 32: may token t be next? Valid until the next call. Not to be called
  /// once a stop token was accepted.
  std::span<const uint32_t> allowed();
  /// Goes on by a token. Throws Error where it is not allowed.
  void accept(int32_t token);
  /// Was a stop token accepted?
  bool has_stopped() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace longgen
