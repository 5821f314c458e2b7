#include "longgen/chat/jinja/template.h"

#include "longgen/base/check.h"
#include "longgen/chat/jinja/evaluator.h"
#include "longgen/chat/jinja/parser.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

// An error repeats what the template says, which may be as long as a message.
constexpr size_t kMaxMessageBytes = 1000;

std::string shortened(const std::string& message) {
  if (message.size() <= kMaxMessageBytes) return message;
  return replace_invalid_utf8(message.substr(0, kMaxMessageBytes)) + "...";
}

}  // namespace

Template::Template(std::string_view text, std::string source) : source_(std::move(source)) {
  LG_CHECK(is_valid_utf8(text), source_, ": expected UTF-8.");
  body_ = parse(text, source_);
}

Text Template::render(const Variables& variables, const std::tm& now, const Limits& limits) const {
  Evaluator evaluator(variables, now, limits);
  try {
    return evaluator.run(body_);
  } catch (const Failure& failure) {
    LG_FAIL(source_, ":", evaluator.line(), ": ", shortened(failure.what()));
  }
}

}  // namespace longgen::jinja
