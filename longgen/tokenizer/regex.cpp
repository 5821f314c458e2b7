#define PCRE2_CODE_UNIT_WIDTH 8
#include "longgen/tokenizer/regex.h"

#include <pcre2.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/tokenizer/regex_dialect.h"

namespace longgen {
namespace {

// A pattern that needs more steps than these is catastrophic: the known ones need about one a byte.
constexpr uint32_t kFreeSteps = 200'000;
constexpr uint64_t kStepsPerByte = 8;
constexpr size_t kJitStackStart = 32 * 1024, kJitStackMax = 8 * 1024 * 1024;
constexpr uint32_t kHeapLimitKib =
    256 * 1024;  // for the interpreter, when the JIT stack is too small
constexpr size_t kMaxPatternBytes = 64 * 1024;

std::string message_of(int code) {
  PCRE2_UCHAR8 text[200];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};

using Code = std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Deleter<pcre2_jit_stack_free>>;

}  // namespace

struct RegexScratch::Impl {
  MatchData data{pcre2_match_data_create(1, nullptr)};
  MatchContext context{pcre2_match_context_create(nullptr)};
  JitStack stack{pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr)};
};

RegexScratch::RegexScratch() : impl_(std::make_unique<Impl>()) {
  LG_CHECK(impl_->data && impl_->context, "[tokenizer] out of memory for regex matching.");
  // Without a stack of its own (no JIT on this machine) PCRE2 interprets.
  if (impl_->stack) pcre2_jit_stack_assign(impl_->context.get(), nullptr, impl_->stack.get());
  pcre2_set_heap_limit(impl_->context.get(), kHeapLimitKib);
}

RegexScratch::~RegexScratch() = default;

struct Regex::Impl {
  Code code;
  std::string where;
};

Regex::Regex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Regex Regex::compile(const std::string& text, uint32_t options, const std::string& where) {
  LG_CHECK(text.size() <= kMaxPatternBytes, where, ": expected a pattern of at most ",
           kMaxPatternBytes, " bytes, found ", text.size(), ".");
  const CompileContext context(pcre2_compile_context_create(nullptr));
  LG_CHECK(context != nullptr, where, ": out of memory.");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int code = 0;
  size_t offset = 0;
  auto impl = std::make_unique<Impl>();
  impl->where = where;
  impl->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR8>(text.data()), text.size(),
                                 PCRE2_UTF | options, &code, &offset, context.get()));
  LG_CHECK(impl->code != nullptr, where, ": expected a valid regex, found \"", text.substr(0, 200),
           "\": ", message_of(code), " (at byte ", offset, ").");
  // Where JIT is not available the same pattern is interpreted, slower.
  pcre2_jit_compile(impl->code.get(), PCRE2_JIT_COMPLETE);
  return Regex(std::move(impl));
}

Regex Regex::pattern(std::string_view text, const std::string& where) {
  return compile(to_pcre2(text, where), PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                 where);
}

Regex Regex::literal(std::string_view text, const std::string& where) {
  LG_CHECK(!text.empty(), where, ": expected at least one character to look for, found none.");
  return compile(std::string(text), PCRE2_LITERAL, where);
}

std::optional<Regex::Match> Regex::find(std::string_view subject, size_t start,
                                        RegexScratch& scratch) const {
  auto& state = *scratch.impl_;
  const uint64_t limit = kFreeSteps + kStepsPerByte * subject.size();
  pcre2_set_match_limit(state.context.get(),
                        static_cast<uint32_t>(std::min<uint64_t>(limit, UINT32_MAX)));
  const auto match = [&](uint32_t options) {
    return pcre2_match(impl_->code.get(), reinterpret_cast<PCRE2_SPTR8>(subject.data()),
                       subject.size(), start, PCRE2_NO_UTF_CHECK | options, state.data.get(),
                       state.context.get());
  };
  int code = match(0);
  if (code == PCRE2_ERROR_JIT_STACKLIMIT) code = match(PCRE2_NO_JIT);
  if (code == PCRE2_ERROR_NOMATCH) return std::nullopt;
  LG_CHECK(code >= 0, impl_->where, ": the regex could not be run on a text of ", subject.size(),
           " bytes: ", message_of(code), ".");
  const size_t* const offsets = pcre2_get_ovector_pointer(state.data.get());
  return Match{offsets[0], offsets[1]};
}

}  // namespace longgen
