#include "longgen/grammar/grammar.h"

#include <xgrammar/xgrammar.h>

#include <optional>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

constexpr int64_t kBitsOfWord = 32;

int64_t num_words(int64_t num_tokens) { return (num_tokens + kBitsOfWord - 1) / kBitsOfWord; }

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// Could more bytes make a text of it?
bool begins_utf8(std::string_view bytes) {
  return is_valid_utf8(bytes.substr(0, bytes.size() - unfinished_utf8_bytes(bytes)));
}

/// Does what xgrammar does, with its errors as ours. They name its files, in lines of their own.
template <typename Work>
auto call(const Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    LG_FAIL("[grammar] ", error.what());
  }
}

/// Counts the white space outside of strings that a text ends with.
class SpaceCounter {
 public:
  void read(std::string_view bytes) {
    for (const char c : bytes) {
      if (in_string_) {
        const bool ends = c == '"' && !is_escaped_;
        is_escaped_ = c == '\\' && !is_escaped_;
        in_string_ = !ends;
        num_spaces_ = 0;
      } else {
        in_string_ = c == '"';
        num_spaces_ = is_space(c) ? num_spaces_ + 1 : 0;
      }
    }
  }
  int64_t num_spaces() const { return num_spaces_; }

 private:
  bool in_string_ = false, is_escaped_ = false;
  int64_t num_spaces_ = 0;
};

}  // namespace

struct TokenBytes::Impl {
  xgrammar::TokenizerInfo info;
  std::vector<uint32_t> begin_with_space;  // bits
  std::vector<int32_t> fragments;          // tokens that are no text alone

  const std::string& bytes(int32_t token) const {
    return info.GetDecodedVocab()[static_cast<size_t>(token)];
  }
};

TokenBytes::TokenBytes(const std::vector<std::string>& bytes) {
  const auto count = static_cast<int64_t>(bytes.size());
  std::vector<uint32_t> spaces(static_cast<size_t>(num_words(count)));
  std::vector<int32_t> fragments;
  for (size_t token = 0; token < bytes.size(); ++token) {
    if (!is_valid_utf8(bytes[token])) fragments.push_back(static_cast<int32_t>(token));
    if (bytes[token].empty() || !is_space(bytes[token].front())) continue;
    spaces[token / kBitsOfWord] |= uint32_t{1} << (token % kBitsOfWord);
  }
  impl_ = call([&] {
    return std::make_unique<Impl>(
        Impl{xgrammar::TokenizerInfo(bytes, xgrammar::VocabType::RAW, static_cast<int>(count),
                                     std::vector<int32_t>{}),
             std::move(spaces), std::move(fragments)});
  });
}
TokenBytes::~TokenBytes() = default;

int64_t TokenBytes::size() const { return impl_->info.GetVocabSize(); }

struct Grammar::Impl {
  std::shared_ptr<const TokenBytes> tokens;
  xgrammar::CompiledGrammar compiled;
};

Grammar::Grammar(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Grammar::~Grammar() = default;

std::shared_ptr<const Grammar> Grammar::compile(std::shared_ptr<const TokenBytes> tokens,
                                                const std::string& ebnf) {
  return call([&] {
    xgrammar::GrammarCompiler compiler(tokens->impl().info, /*max_threads=*/1,
                                       /*cache_enabled=*/false);
    auto impl = std::make_unique<Impl>(Impl{tokens, compiler.CompileGrammar(ebnf, "root")});
    return std::shared_ptr<const Grammar>(new Grammar(std::move(impl)));
  });
}

int64_t Grammar::memory_bytes() const {
  return static_cast<int64_t>(impl_->compiled.MemorySizeBytes());
}

struct GrammarMatcher::Impl {
  std::shared_ptr<const Grammar> grammar;
  xgrammar::GrammarMatcher matcher;
  std::vector<uint32_t> allowed;
  SpaceCounter spaces = {};
  std::string unfinished = {};  // bytes of a character

  const TokenBytes::Impl& tokens() const { return grammar->impl().tokens->impl(); }
};

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Grammar> grammar,
                               const std::vector<int32_t>& stop_tokens) {
  const int64_t num_tokens = grammar->impl().tokens->size();
  std::vector<int32_t> stops;  // xgrammar does not check them
  for (const int32_t token : stop_tokens) {
    if (token >= 0 && token < num_tokens) stops.push_back(token);
  }
  LG_CHECK(!stops.empty(), "[grammar] expected a stop token from 0 to ", num_tokens - 1, ".");
  impl_ = call([&] {
    xgrammar::GrammarMatcher matcher(grammar->impl().compiled, stops);
    const auto words = static_cast<size_t>(num_words(num_tokens));
    return std::make_unique<Impl>(
        Impl{std::move(grammar), std::move(matcher), std::vector<uint32_t>(words)});
  });
}
GrammarMatcher::~GrammarMatcher() = default;
GrammarMatcher::GrammarMatcher(GrammarMatcher&&) noexcept = default;
GrammarMatcher& GrammarMatcher::operator=(GrammarMatcher&&) noexcept = default;

std::span<const uint32_t> GrammarMatcher::allowed() {
  std::vector<uint32_t>& words = impl_->allowed;
  int64_t shape = std::ssize(words);
  DLTensor bits = {words.data(), {kDLCPU, 0}, 1, {kDLInt, kBitsOfWord, 1}, &shape, nullptr, 0};
  call([&] { return impl_->matcher.FillNextTokenBitmask(&bits); });
  if (impl_->spaces.num_spaces() >= kMostSpaces) {
    const std::vector<uint32_t>& spaces = impl_->tokens().begin_with_space;
    for (size_t i = 0; i < words.size(); ++i) words[i] &= ~spaces[i];
  }
  // xgrammar takes bytes for characters that are none.
  for (const int32_t token : impl_->tokens().fragments) {
    uint32_t& word = words[static_cast<size_t>(token / kBitsOfWord)];
    const uint32_t bit = uint32_t{1} << (token % kBitsOfWord);
    if ((word & bit) == 0) continue;
    if (!begins_utf8(impl_->unfinished + impl_->tokens().bytes(token))) word &= ~bit;
  }
  return words;
}

void GrammarMatcher::accept(int32_t token) {
  const bool is_accepted = call([&] { return impl_->matcher.AcceptToken(token); });
  LG_CHECK(is_accepted, "[grammar] token ", token, " cannot follow here.");
  if (has_stopped()) return;
  const std::string& bytes = impl_->tokens().bytes(token);
  impl_->spaces.read(bytes);
  impl_->unfinished += bytes;
  impl_->unfinished.erase(0, impl_->unfinished.size() - unfinished_utf8_bytes(impl_->unfinished));
}

bool GrammarMatcher::has_stopped() const { return impl_->matcher.IsTerminated(); }

}  // namespace longgen
